#include <fmt/format.h>

#include <cstring>
#include <set>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/tool/commands.h"

namespace cohort::checkpoint::tool {
namespace {

std::string type_of(const TensorRecord& tensor) {
  return fmt::format("{} [{}]", tensor.dtype, fmt::join(tensor.shape, ", "));
}

/// The place of element `number`: "[3, 0, 7]".
std::string position_of(int64_t number, const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = number % shape[axis];
    number /= shape[axis];
  }
  return fmt::format("[{}]", fmt::join(place, ", "));
}

std::string element_of(const Tensor& tensor, int64_t number) {
  return visit_dtype(tensor.dtype(), [&](auto tag) {
    using T = decltype(tag);
    const T value = tensor.data<T>()[number];
    if constexpr (std::is_same_v<T, double> || std::is_integral_v<T>)
      return fmt::format("{}", value);
    else
      return fmt::format("{}", static_cast<float>(value));
  });
}

/// The first element whose bytes differ; nothing where none does.
std::optional<int64_t> first_difference(const Tensor& a, const Tensor& b) {
  const auto* x = static_cast<const char*>(a.raw());
  const auto* y = static_cast<const char*>(b.raw());
  const size_t bytes = a.num_bytes();
  if (bytes == 0 || std::memcmp(x, y, bytes) == 0) return {};
  size_t at = 0;
  while (x[at] == y[at]) ++at;
  return static_cast<int64_t>(at / size_of(a.dtype()));
}

}  // namespace

Outcome diff(const std::shared_ptr<Storage>& storage, const std::string& a, const std::string& b) {
  const auto left = open_newest(storage, a), right = open_newest(storage, b);
  Outcome outcome;
  size_t equal = 0, different = 0;
  std::string first;
  for (const TensorRecord& tensor : left->manifest().tensors) {
    const TensorRecord* other = right->manifest().find(tensor.name);
    if (!other) {
      outcome.text += fmt::format("only in {}: {}\n", left->directory(), tensor.name);
    } else if (other->dtype != tensor.dtype || other->shape != tensor.shape) {
      outcome.text += fmt::format("other types: {}: {} and {}\n", tensor.name, type_of(tensor),
                                  type_of(*other));
    } else {
      const Tensor x = left->read(tensor), y = right->read(*other);
      const auto at = first_difference(x, y);
      ++(at ? different : equal);
      if (at && first.empty())
        first = fmt::format("first difference: {} at {}: {} and {}\n", tensor.name,
                            position_of(*at, tensor.shape), element_of(x, *at), element_of(y, *at));
    }
  }
  for (const TensorRecord& tensor : right->manifest().tensors)
    if (!left->manifest().find(tensor.name))
      outcome.text += fmt::format("only in {}: {}\n", right->directory(), tensor.name);
  outcome.status = outcome.text.empty() && different == 0 ? 0 : 1;
  outcome.text += first + fmt::format("{} tensors are equal, {} differ\n", equal, different);
  return outcome;
}

}  // namespace cohort::checkpoint::tool
