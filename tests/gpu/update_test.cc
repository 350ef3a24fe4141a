#include <cmath>

#include "cohort/core/ops/state.h"
#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuUpdateTest = GpuTest;

// Parameters of odd sizes with gradients and `slots` slots each, in the order of core/ops/update.h.
KernelCase update(const char* op, DType dtype, int slots, Attrs attrs, bool apply = true) {
  const int64_t sizes[] = {1, 10, 784 * 3, 5000};
  KernelCase test = {op, {}, std::move(attrs)};
  uint64_t seed = 1;
  for (const int64_t n : sizes) test.inputs.push_back(random_numbers(dtype, {n}, seed++));
  for (int group = 0; group <= slots; ++group)
    for (const int64_t n : sizes) {
      // Second moments are squares.
      const Tensor value = random_numbers(dtype, {n}, seed++);
      test.variables.push_back(group < 2 ? value : run_kernel({"Square", {value}}).outputs[0]);
    }
  test.inputs.push_back(Tensor::scalar(0.01f));
  test.inputs.push_back(Tensor::scalar(int64_t{3}));
  test.inputs.push_back(Tensor::from(std::vector<bool>{apply}, {}));
  return test;
}

Attrs adam(bool amsgrad = false) {
  return {{"beta_1", 0.9},
          {"beta_2", 0.999},
          {"epsilon", 1e-7},
          {"amsgrad", amsgrad},
          {"weight_decay", std::vector<double>{0, 0.1, 0, 0.01}}};
}

Attrs sgd(double momentum, bool nesterov) {
  return {{"momentum", momentum}, {"nesterov", nesterov}, {"weight_decay", std::vector<double>{}}};
}

TEST_F(GpuUpdateTest, AdamAgrees) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    expect_like_cpu(update("AdamUpdate", dtype, 2, adam()), rounding(dtype));
    expect_like_cpu(update("AdamUpdate", dtype, 3, adam(true)), rounding(dtype));
  }
}

TEST_F(GpuUpdateTest, SgdAgrees) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16}) {
    expect_like_cpu(update("SgdUpdate", dtype, 0, sgd(0, false)), rounding(dtype));
    expect_like_cpu(update("SgdUpdate", dtype, 1, sgd(0.9, false)), rounding(dtype));
    expect_like_cpu(update("SgdUpdate", dtype, 1, sgd(0.9, true)), rounding(dtype));
  }
}

TEST_F(GpuUpdateTest, ApplyFalseChangesNothing) {
  expect_like_cpu(update("AdamUpdate", DType::kF32, 2, adam(), false), 0);
  expect_like_cpu(update("SgdUpdate", DType::kF32, 1, sgd(0.9, false), false), 0);
}

TEST_F(GpuUpdateTest, AssignsAgree) {
  for (const char* op : {"Assign", "AssignAdd", "AssignSub"})
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kI64, DType::kU8})
      expect_like_cpu({op, {random_numbers(dtype, {77}, 1)}, {}, {random_numbers(dtype, {77}, 2)}},
                      0);
  expect_like_cpu({"Assign",
                   {random_numbers(DType::kBool, {5}, 1)},
                   {},
                   {random_numbers(DType::kBool, {5}, 2)}},
                  0);
}

TEST_F(GpuUpdateTest, NothingIsWrittenWhileAFaultIsSet) {
  Tensor before = random_numbers(DType::kF32, {9}, 1);
  GpuKernel bad({"SparseSoftmaxCrossEntropy",
                 {random_numbers(DType::kF32, {1, 4}), Tensor::from({int64_t{7}})}});
  GpuKernel assign({"Assign", {random_numbers(DType::kF32, {9}, 2)}, {}, {before}});
  bad.submit();
  assign.submit();
  EXPECT_THROW(gpu()->synchronize(), Error);
  EXPECT_TRUE(bitwise_equal(assign.results().variables[0], before));
  // The fault was taken: the next commit goes through.
  EXPECT_FALSE(bitwise_equal(assign.run().variables[0], before));
}

TEST_F(GpuUpdateTest, CheckFiniteFindsOneBadNumber) {
  const Tensor good = random_numbers(DType::kF32, {1000});
  Tensor bad = random_numbers(DType::kF32, {1000}, 2);
  expect_like_cpu({"CheckFinite", {good, good}}, 0);
  bad.data<float>()[999] = -INFINITY;
  expect_like_cpu({"CheckFinite", {good, bad}}, 0);
}

TEST_F(GpuUpdateTest, StepInfoReadsTheStep) {
  const StepState step = {
      .step = 3, .replica_id = 1, .num_replicas = 4, .rows = 5, .row_offset = 6, .global_rows = 7};
  for (const auto field :
       {ops::StepField::kStep, ops::StepField::kReplicaId, ops::StepField::kNumReplicas,
        ops::StepField::kRows, ops::StepField::kGlobalRows, ops::StepField::kRowOffset})
    expect_like_cpu({"StepInfo", {}, {{"field", static_cast<int64_t>(field)}}, {}, 1, step}, 0);
}

}  // namespace
}  // namespace cohort::testing
