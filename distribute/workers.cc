#include "cohort/distribute/workers.h"

#include <algorithm>
#include <cstring>

#include "cohort/core/graph/serialize.h"

namespace cohort::distribute {

std::string Workers::name_of(int) const { return "this process"; }

std::vector<std::string> Workers::all_gather(std::string_view, std::string_view mine) {
  return {std::string(mine)};
}

std::vector<Tensor> Workers::all_gather(std::string_view label, const std::vector<Tensor>& mine) {
  if (count() == 1) return mine;
  std::vector<Tensor> tensors;
  for (const std::string& bytes : all_gather(label, serialize_tensors(mine)))
    for (Tensor& tensor : deserialize_tensors(bytes, label)) tensors.push_back(std::move(tensor));
  return tensors;
}

void Workers::take_from_chief(std::span<double> numbers) {
  if (count() == 1) return;
  const std::string_view mine(reinterpret_cast<const char*>(numbers.data()), numbers.size_bytes());
  const std::string chiefs = all_gather("numbers", mine).front();
  if (chiefs.size() != numbers.size_bytes())
    throw Internal("workers: got {} bytes from the chief; want {}", chiefs.size(),
                   numbers.size_bytes());
  std::memcpy(numbers.data(), chiefs.data(), chiefs.size());
}

void Workers::check_equal(std::string_view what, const std::string& mine) {
  if (count() == 1) return;
  const auto all = all_gather(what, mine);
  for (int worker = 1; worker < count(); ++worker)
    if (const std::string& theirs = all[static_cast<size_t>(worker)]; theirs != all.front())
      throw FailedPrecondition("{}: got {} on {} and {} on {}; want the same on every worker", what,
                               theirs, name_of(worker), all.front(), name_of(0));
}

bool Workers::any(std::string_view what, bool mine) {
  if (count() == 1) return mine;
  const auto all = all_gather(what, mine ? "yes" : "no");
  return std::find(all.begin(), all.end(), "yes") != all.end();
}

}  // namespace cohort::distribute
