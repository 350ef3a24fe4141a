#include "cohort/nn/internal/masks.h"

#include "cohort/core/ops/math.h"

namespace cohort::nn::internal {
namespace {

std::string name_of_mask(Value x) { return fmt::format("{}:{}@mask", x.node()->name(), x.index()); }

}  // namespace

Value mask_of(Value x) {
  if (!x.defined()) return {};
  const Node* found = x.graph().find(name_of_mask(x));
  return found ? found->input(0) : Value();
}

void set_mask(Value x, Value mask) {
  if (!mask.defined() || mask_of(x).defined()) return;
  x.graph().restore("Identity", {mask}, {}, name_of_mask(x), x.node()->device());
}

Value with_mask(Value x, Value mask) {
  if (!mask.defined() || mask == mask_of(x)) return x;
  if (mask_of(x).defined()) x = ops::identity(x);
  set_mask(x, mask);
  return x;
}

Value checked_mask(Value mask, Value x, std::string_view where) {
  bool fits = mask.rank() > 0 && mask.rank() <= x.rank();
  for (int axis = 0; fits && axis < mask.rank(); ++axis)
    fits = mask.shape()[axis] == x.shape()[axis];
  if (!fits)
    throw InvalidArgument("{}: got mask {} for {}; want its first dimensions, one or more", where,
                          mask.shape(), x.shape());
  return mask.dtype() == DType::kBool ? mask : ops::cast(mask, DType::kBool);
}

}  // namespace cohort::nn::internal
