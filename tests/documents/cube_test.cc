// The op of docs/adding_an_op.md, from its blocks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cohort.h"

// What the page's files declare.
namespace cohort::ops {
Value cube(Value x);
void register_cube(OpRegistry& ops);
}  // namespace cohort::ops
namespace cohort::cpu::plain {
void register_cube(KernelRegistry& registry);
}  // namespace cohort::cpu::plain

namespace cohort {
namespace {

TEST(AddingAnOpPage, TheOpAndItsGradientCompute) {
  ops::register_cube(default_runtime().ops());
  cpu::plain::register_cube(default_runtime().kernels());
  const auto f = function([](Value x) {
    const Value y = ops::cube(x);
    return std::vector<Value>{y, gradients(y, {&x, 1})[0].dense()};
  });
  const std::vector<Tensor> result = f(Tensor::from<float>({1, 2, -3}));
  EXPECT_THAT(result[0].values<float>(), ::testing::ElementsAre(1, 8, -27));
  EXPECT_THAT(result[1].values<float>(), ::testing::ElementsAre(3, 12, 27));
}

}  // namespace
}  // namespace cohort
