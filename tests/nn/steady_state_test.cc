#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cohort/cohort.h"
#include "tests/support/thread_allocations.h"

namespace cohort::nn {
namespace {

struct Cost {
  int64_t allocations;
  int64_t page_faults;
};

/// What the training thread did during one epoch of `steps` steps.
template <class Dataset>
Cost cost_of_epoch(const Model& model, const Dataset& dataset, int64_t steps) {
  rusage before{}, after{};
  getrusage(RUSAGE_THREAD, &before);
  const int64_t allocations = test::thread_allocations();
  model.fit(dataset, {.epochs = 1, .verbose = 0, .steps_per_epoch = steps});
  getrusage(RUSAGE_THREAD, &after);
  return {test::thread_allocations() - allocations, after.ru_minflt - before.ru_minflt};
}

template <class Dataset>
void expect_free_steps(const Model& model, const Dataset& dataset) {
  cost_of_epoch(model, dataset, 100);  // compiles
  const Cost few = cost_of_epoch(model, dataset, 100), many = cost_of_epoch(model, dataset, 400);
  EXPECT_EQ(many.allocations, few.allocations);
  EXPECT_LE(many.page_faults, few.page_faults + 2) << "besides those of setting up an epoch";
}

/// Devices, and whether somebody may read the program's metrics.
class SteadyStateConcurrentTest : public ::testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  void SetUp() override {
    if (std::get<1>(GetParam())) default_runtime().metrics().set_served_at("nowhere:1");
  }
  void TearDown() override { default_runtime().metrics().set_served_at(""); }
};

INSTANTIATE_TEST_SUITE_P(Devices, SteadyStateConcurrentTest,
                         ::testing::Combine(::testing::Values(1, 2), ::testing::Bool()));

std::vector<std::string> cpus(int count) {
  std::vector<std::string> devices;
  for (int i = 0; i < count; ++i) devices.push_back("cpu:" + std::to_string(i));
  return devices;
}

/// An epoch of 400 steps costs the training thread no more than one of 100: a step costs nothing.
void expect_free_dense_steps(const distribute::Strategy& strategy) {
  const Model model = strategy.scope([] {
    const Model model =
        Sequential({Input({.shape = {20}}), Dense({.units = 16, .activation = "relu"}),
                    BatchNormalization(), Dropout({.rate = 0.2}), Dense({.units = 5})});
    model.compile({.optimizer = Adam({.clipnorm = 1.0}),
                   .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
  Tensor x(DType::kF32, Shape{512, 20}), y(DType::kI32, Shape{512});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(i % 17) / 17;
  for (int64_t i = 0; i < 512; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 5);
  const data::Dataset dataset =
      data::Dataset::from_tensor_slices({x, y}).shuffle(512).repeat().batch(32).prefetch();
  expect_free_steps(model, dataset);
  expect_free_steps(model, strategy.experimental_distribute_dataset(dataset));
}

TEST_P(SteadyStateConcurrentTest, AStepAllocatesNothingAndFaultsNoPages) {
  expect_free_dense_steps(distribute::MirroredStrategy({.devices = cpus(std::get<0>(GetParam()))}));
}

TEST_P(SteadyStateConcurrentTest, AStepOfShardedSlotsAllocatesNothingAndFaultsNoPages) {
  expect_free_dense_steps(distribute::MirroredStrategy(
      {.devices = cpus(std::get<0>(GetParam())), .sharding = distribute::Sharding::kZero1}));
}

/// The same with weights cast at every read, scaled losses and the checks that may skip a step.
TEST_P(SteadyStateConcurrentTest, AStepInFloat16AllocatesNothingAndFaultsNoPages) {
  set_dtype_policy("mixed_float16");
  expect_free_dense_steps(distribute::MirroredStrategy({.devices = cpus(std::get<0>(GetParam()))}));
  set_dtype_policy("float32");
}

/// The same where the gradient of a table is gathered by rows.
TEST_P(SteadyStateConcurrentTest, AStepOnATableAllocatesNothingAndFaultsNoPages) {
  const auto strategy = distribute::MirroredStrategy({.devices = cpus(std::get<0>(GetParam()))});
  const Model model = strategy.scope([] {
    const Model model =
        Sequential({Input({.shape = {5}}), Embedding({.input_dim = 900, .output_dim = 4}),
                    Flatten(), Dense({.units = 5})});
    model.compile({.optimizer = SGD({.global_clipnorm = 1.0}),
                   .loss = SparseCategoricalCrossentropy({.from_logits = true})});
    return model;
  });
  Tensor x(DType::kI32, Shape{512, 5}), y(DType::kI32, Shape{512});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<int32_t>()[i] = static_cast<int32_t>(i * 37 % 900);
  for (int64_t i = 0; i < 512; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 5);
  const data::Dataset dataset =
      data::Dataset::from_tensor_slices({x, y}).shuffle(512).repeat().batch(32).prefetch();
  expect_free_steps(model, dataset);
}

}  // namespace
}  // namespace cohort::nn
