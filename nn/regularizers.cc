#include "cohort/nn/regularizers.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

std::function<Value(Value)> penalty(double l1, double l2) {
  if (l1 < 0 || l2 < 0)
    throw InvalidArgument("regularizer: got l1 {}, l2 {}; want 0 or more", l1, l2);
  return [l1, l2](Value x) {
    const Value first = ops::reduce_sum(ops::abs(x)) * l1;
    const Value second = ops::reduce_sum(ops::square(x)) * l2;
    return l1 == 0 ? second : l2 == 0 ? first : first + second;
  };
}

std::function<Value(Value)> penalty_by_name(std::string_view name) {
  const internal::Named<std::function<Value(Value)>> known[] = {
      {"l1", penalty(0.01, 0)}, {"l2", penalty(0, 0.01)}, {"l1l2", penalty(0, 0)}};
  return internal::find_named_class<std::function<Value(Value)>>("regularizer", name, known);
}

}  // namespace

Regularizer::Regularizer(const char* name) : penalty_(penalty_by_name(name)) {}

namespace regularizers {

L1::operator Regularizer() const { return penalty(l1, 0); }
L2::operator Regularizer() const { return penalty(0, l2); }
L1L2::operator Regularizer() const { return penalty(l1, l2); }

}  // namespace regularizers
}  // namespace cohort::nn
