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

Regularizer regularizer_by_name(std::string_view name) {
  const internal::Named<Regularizer> known[] = {
      {"l1", regularizers::L1()}, {"l2", regularizers::L2()}, {"l1l2", regularizers::L1L2()}};
  return internal::find_named_class<Regularizer>("regularizer", name, known);
}

}  // namespace

Regularizer::Regularizer(const char* name) : Regularizer(regularizer_by_name(name)) {}

namespace regularizers {

L1::operator Regularizer() const { return {penalty(l1, 0), *this}; }
L2::operator Regularizer() const { return {penalty(0, l2), *this}; }
L1L2::operator Regularizer() const { return {penalty(l1, l2), *this}; }

}  // namespace regularizers
}  // namespace cohort::nn
