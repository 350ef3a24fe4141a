#include "cohort/data/text.h"

#include <cstring>

#include "cohort/data/internal/rows.h"

namespace cohort::data {

ElementSpec text_spec() { return {{DType::kU8, Shape{Dim("L")}}}; }

void text_tensor(std::string_view text, Element& out) {
  out.resize(1);
  text_tensor(text, out[0]);
}

void text_tensor(std::string_view text, Tensor& out) {
  prepare_batch(out, DType::kU8, std::ssize(text), Shape{});
  if (!text.empty()) std::memcpy(out.raw(), text.data(), text.size());
}

std::string text_of(const Tensor& tensor) {
  if (tensor.dtype() != DType::kU8 || tensor.rank() != 1)
    throw InvalidArgument("text_of: got {}{}; want uint8 [L]", tensor.dtype(), tensor.shape());
  const auto bytes = tensor.contiguous();
  return {static_cast<const char*>(bytes.raw()), static_cast<size_t>(bytes.num_elements())};
}

}  // namespace cohort::data
