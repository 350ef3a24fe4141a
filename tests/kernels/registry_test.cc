#include <gtest/gtest.h>

#include "tests/kernels/compare.h"
#include "tests/support/thread_allocations.h"

namespace cohort::testing {
namespace {

TEST(CpuKernelsTest, EveryOpHasAKernel) {
  for (const std::string& name : BoundKernel::op_registry().names()) {
    const OpDef& op = BoundKernel::op_registry().get(name);
    if (name == "CommitIf") continue;  // a graph that still has it when it runs is wrong
    // That of an alias copies, for who calls it by itself.
    EXPECT_EQ(BoundKernel::kernels().has(name, DeviceType::kCPU),
              op.has_kernel() || op.kind == OpKind::kAlias)
        << name;
  }
}

TEST(CpuKernelsTest, AMissingKernelNamesWhatThereIs) {
  const KernelCase test{.op = "Sigmoid", .inputs = {random_tensor(DType::kF32, {2})}};
  const KernelRegistry& kernels = BoundKernel::kernels();
  EXPECT_EQ(kernels.names("Sigmoid", DeviceType::kCPU),
            (std::vector<std::string>{"simd", "plain"}));
  EXPECT_FALSE(on_own_thread([&] { return BoundKernel(test, "nosuch").valid(); }));
}

int64_t allocations_of_a_run(const KernelCase& test) {
  return on_own_thread([&] {
    BoundKernel kernel(test, "");
    kernel.run();
    const int64_t before = test::all_allocations();
    for (int i = 0; i < 3; ++i) kernel.run();
    return test::all_allocations() - before;
  });
}

TEST(CpuKernelsTest, RunningAllocatesNothing) {
  using Ints = std::vector<int64_t>;
  const auto f32 = [](Shape shape) { return random_tensor(DType::kF32, std::move(shape)); };
  const Attrs product{{"transpose_a", false}, {"transpose_b", true}};
  const Attrs sum{{"axis", Ints{0}}, {"keepdims", false}};
  const Attrs dropout{
      {"rate", 0.5}, {"seed", int64_t{-1}}, {"stream", std::string("s")}, {"batched", true}};
  const Attrs pool{{"pool_size", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 0, 0}}};
  const KernelCase cases[] = {
      {.op = "MatMul", .inputs = {f32({300, 200}), f32({100, 200})}, .attrs = product},
      {.op = "Add", .inputs = {f32({300, 400}), f32({400})}},
      {.op = "Greater", .inputs = {f32({300, 1}), f32({400})}},
      {.op = "Tanh", .inputs = {f32({300, 400})}},
      {.op = "ReduceSum", .inputs = {f32({9000, 40})}, .attrs = sum},
      {.op = "ReduceProd", .inputs = {f32({90, 40})}, .attrs = sum},
      {.op = "Dropout", .inputs = {f32({300, 400})}, .attrs = dropout},
      {.op = "MaxPool2D", .inputs = {f32({8, 28, 28, 32})}, .attrs = pool},
      {.op = "SparseSoftmaxCrossEntropy", .inputs = {f32({9000, 10}), random_labels(9000, 10)}},
      {.op = "Gather", .inputs = {f32({90, 10}), random_labels(500, 90)}},
      {.op = "BatchNorm",
       .inputs = {f32({9000, 16}), f32({16}), f32({16})},
       .attrs = {{"epsilon", 1e-3}}},
  };
  for (KernelCase test : cases)
    for (const int threads : {1, 2}) {
      test.threads = threads;
      EXPECT_EQ(allocations_of_a_run(test), 0) << test.op << " with " << threads << " threads";
    }
}

}  // namespace
}  // namespace cohort::testing
