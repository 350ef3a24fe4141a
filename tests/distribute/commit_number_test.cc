#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::distribute {
namespace {

class CommitNumberConcurrentTest : public ::testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  /// Four replicas.
  static Strategy strategy() {
    MirroredOptions options{.num_replicas = 4};
    for (int i = 0; i < GetParam(); ++i) options.devices.push_back("cpu:" + std::to_string(i));
    return MirroredStrategy(options);
  }
  static Tensor rows() { return Tensor::full(DType::kF32, Shape{20, 3}, 1); }
  static Tensor labels() { return Tensor(DType::kI32, Shape{20}); }
  static nn::Model model(const nn::Optimizer& optimizer) {
    nn::Sequential made({nn::Input({.shape = {3}}), nn::Dense({.units = 5})});
    made.compile({.optimizer = optimizer,
                  .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                  .metrics = {"accuracy"}});
    return made;
  }
};

TEST_P(CommitNumberConcurrentTest, CountsTheStepsOfFitAndNoOthers) {
  const Strategy on = strategy();
  const nn::Model trained = on.scope([] { return model(nn::SGD()); });
  EXPECT_EQ(on.commit_number(), 0);
  trained.fit(rows(), labels(), {.batch_size = 8, .epochs = 2, .verbose = 0});
  EXPECT_EQ(on.commit_number(), 6);  // 8, 8 and 4 rows
  trained.evaluate(rows(), labels(), {.batch_size = 8, .verbose = 0});
  trained.predict(rows(), {.batch_size = 8, .verbose = 0});
  EXPECT_EQ(on.commit_number(), 6);
  trained.train_on_batch(rows(), labels());
  EXPECT_EQ(on.commit_number(), 7);
}

TEST_P(CommitNumberConcurrentTest, CountsStepsThatOnlyAccumulate) {
  const Strategy on = strategy();
  const auto optimizer =
      on.scope([]() -> nn::Optimizer { return nn::SGD({.gradient_accumulation_steps = 4}); });
  const nn::Model trained = on.scope([&] { return model(optimizer); });
  trained.fit(rows(), labels(), {.batch_size = 8, .epochs = 1, .verbose = 0});
  EXPECT_EQ(optimizer.iterations(), 0);
  EXPECT_EQ(on.commit_number(), 3);
}

TEST_P(CommitNumberConcurrentTest, CountsEveryModelOfTheStrategy) {
  const Strategy on = strategy();
  const nn::Model one = on.scope([] { return model(nn::SGD()); });
  const nn::Model other = on.scope([] { return model(nn::Adam()); });
  for (int batch = 0; batch < 3; ++batch) {  // as adversaries do: two commits for each
    one.train_on_batch(rows(), labels());
    other.train_on_batch(rows(), labels());
  }
  EXPECT_EQ(on.commit_number(), 6);
  EXPECT_EQ(strategy().commit_number(), 0);  // another strategy's
}

TEST_P(CommitNumberConcurrentTest, CountsRunsOfFunctionsThatWrite) {
  const Strategy on = strategy();
  const nn::Variable sum = on.scope([] { return nn::Variable(Tensor::scalar(0.0f), "sum"); });
  const Function reads = function([&](Value x) { return x + sum.read(); });
  const Function writes =
      function([&](Value) { ops::assign_add(sum.shared(), ops::scalar(1, DType::kF32)); });
  for (int run = 0; run < 3; ++run) {
    on.run(reads, {Tensor::scalar(1.0f)});
    on.run(writes, {Tensor::scalar(1.0f)});
  }
  EXPECT_EQ(on.commit_number(), 3);
}

TEST_P(CommitNumberConcurrentTest, StaysWhereAStepFails) {
  const Strategy on = strategy();
  const nn::Model trained = on.scope([] { return model(nn::SGD()); });
  Tensor bad = labels();
  bad.data<int32_t>()[17] = 99;
  trained.train_on_batch(rows(), labels());
  EXPECT_THROW(trained.train_on_batch(rows(), bad), Error);
  EXPECT_EQ(on.commit_number(), 1);
  trained.train_on_batch(rows(), labels());
  EXPECT_EQ(on.commit_number(), 2);
  for (const auto& place : on.impl().commits()->places())
    EXPECT_EQ(on.impl().commits()->value(*place->device).item<int64_t>(), 2)
        << place->device->name().to_string();
}

INSTANTIATE_TEST_SUITE_P(Devices, CommitNumberConcurrentTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace cohort::distribute
