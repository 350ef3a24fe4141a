#include "cohort/nn/saving/agreement.h"

#include "cohort/core/wire/protobuf.h"

namespace cohort::nn::internal {

std::vector<std::string> Agreement::exchange(std::string_view label, const std::string& value,
                                             const std::optional<Error>& error) {
  if (workers_.count() == 1) {
    if (error) throw AgreedError(error->code(), error->what());
    return {value};
  }
  wire::Writer mine;
  mine.write_bytes(1, error ? error->what() : value);
  if (error) mine.write_uint(2, static_cast<uint64_t>(error->code()));
  std::vector<std::string> values;
  std::optional<AgreedError> first;
  for (const std::string& bytes : workers_.all_gather(label, mine.data())) {
    std::string text;
    std::optional<Code> code;
    wire::Reader in(bytes, label);
    while (in.next())
      if (in.field() == 1)
        text = in.read_bytes();
      else
        code = static_cast<Code>(in.read_uint());
    const int worker = static_cast<int>(values.size());
    if (code && !first)
      first.emplace(*code, Error(*code, text).within(workers_.name_of(worker)).what());
    values.push_back(std::move(text));
  }
  if (first) throw *first;
  return values;
}

}  // namespace cohort::nn::internal
