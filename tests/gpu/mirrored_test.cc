// Several GPUs of one process, or logical devices of its only one: what happens when a step fails,
// and that results do not depend on how many there are.
#include <thread>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/nn/nn.h"
#include "tests/gpu/device_case.h"
#include "tests/support/expect_error.h"

namespace cohort::testing {
namespace {

class GpuMirroredTest : public GpuTest {
 protected:
  static bool has(size_t count) { return gpus().size() >= count; }
};

nn::Model classifier(const distribute::Strategy& strategy,
                     const nn::Optimizer& optimizer = nn::SGD{.learning_rate = 0.05}) {
  nn::set_random_seed(11);
  return strategy.scope([&] {
    const nn::Sequential model({nn::Input({.shape = {20}}),
                                nn::Dense({.units = 33, .activation = "relu"}),
                                nn::Dense({.units = 4})});
    model.compile(
        {.optimizer = optimizer, .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
    return model;
  });
}

distribute::Strategy mirrored(size_t count, int replicas = 0) {
  distribute::MirroredOptions options{.num_replicas = replicas};
  for (size_t i = 0; i < count; ++i) options.devices.push_back("gpu:" + std::to_string(i));
  return distribute::MirroredStrategy(options);
}

/// 32 rows; `bad`: a row with a label that there is not.
void fit(const nn::Model& model, int epochs, int64_t bad = -1) {
  Tensor labels = random_integers({32}, 4, 6);
  if (bad >= 0) labels.data<int64_t>()[bad] = 99;
  model.fit(random_numbers(DType::kF32, {32, 20}, 5), labels,
            {.batch_size = 32, .epochs = epochs, .verbose = 0, .shuffle = false});
}

TEST_F(GpuMirroredTest, BadDataOfOneReplicaLeavesAllAndGoodStepsFollow) {
  if (!has(2)) GTEST_SKIP() << "needs 2 GPUs; here: " << gpus().size();
  const nn::Model model = classifier(mirrored(2));
  fit(model, 4);  // recorded by now
  const std::vector<Tensor> before = model.get_weights();
  expect_error(Code::kInvalidArgument, {"99"}, [&] { fit(model, 1, 31); });
  const std::vector<Tensor> after = model.get_weights();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(bitwise_equal(after[i], before[i]));
  for (const nn::Variable& variable : model.weights())
    for (Device* device : {gpus()[0], gpus()[1]})
      EXPECT_TRUE(bitwise_equal(variable.impl().value(*device), variable.value()));
  fit(model, 1);
  EXPECT_FALSE(bitwise_equal(model.get_weights()[0], before[0]));
}

TEST_F(GpuMirroredTest, RowsThatDoNotReachAllGpusAreNoHang) {
  if (!has(4)) GTEST_SKIP() << "needs 4 GPUs; here: " << gpus().size();
  const nn::Model model = classifier(mirrored(gpus().size()));
  const int64_t rows = 352;  // batches of 256 and 96
  model.fit(random_numbers(DType::kF32, {rows, 20}, 5), random_integers({rows}, 4, 6),
            {.batch_size = 256, .epochs = 4, .verbose = 0, .shuffle = false});
}

TEST_F(GpuMirroredTest, FourReplicasGiveTheSameBitsOnOneTwoAndFourGpus) {
  if (!has(4)) GTEST_SKIP() << "needs 4 GPUs; here: " << gpus().size();
  const auto train = [](const nn::Optimizer& optimizer, size_t count) {
    const nn::Model model = classifier(mirrored(count, 4), optimizer);
    fit(model, 4);
    for (const nn::Variable& variable : model.weights())
      for (size_t i = 0; i < count; ++i)
        EXPECT_TRUE(bitwise_equal(variable.impl().value(*gpus()[i]), variable.value()));
    return model.get_weights();
  };
  const auto expect_same_bits = [&](nn::Optimizer (*make)()) {
    const std::vector<Tensor> one = train(make(), 1), two = train(make(), 2),
                              four = train(make(), 4);
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(bitwise_equal(two[i], one[i])) << i;
      EXPECT_TRUE(bitwise_equal(four[i], one[i])) << i;
    }
  };
  expect_same_bits([] { return nn::Optimizer(nn::SGD{.learning_rate = 0.05}); });
  // By its body, with a state that is written in the commit.
  expect_same_bits([] { return nn::Optimizer(nn::Nadam{.learning_rate = 0.01, .use_ema = true}); });
}

TEST_F(GpuMirroredTest, StepsOfSeveralGpusCanBeRecorded) {
  if (!has(2)) GTEST_SKIP() << "needs 2 GPUs; here: " << gpus().size();
  ::testing::internal::CaptureStderr();
  fit(classifier(mirrored(2)), 6);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST_F(GpuMirroredTest, SixReplicasGiveTheSameBitsOnOneAndOnFourGpus) {
  if (!has(4)) GTEST_SKIP() << "needs 4 GPUs; here: " << gpus().size();
  const nn::Model one = classifier(mirrored(1, 6)), four = classifier(mirrored(4, 6));
  fit(one, 4);
  fit(four, 4);
  for (size_t i = 0; i < one.get_weights().size(); ++i)
    EXPECT_TRUE(bitwise_equal(one.get_weights()[i], four.get_weights()[i]));
}

// Groups of about a variable each. Six steps: the last ones run recorded.
TEST_F(GpuMirroredTest, ShardedStepsHaveTheBitsOfReplicatedOnes) {
  if (!has(2)) GTEST_SKIP() << "needs 2 GPUs; here: " << gpus().size();
  using distribute::Sharding;
  const auto train = [](size_t count, int replicas, Sharding sharding,
                        const nn::Optimizer& optimizer) {
    distribute::MirroredOptions options{
        .num_replicas = replicas, .bytes_per_pack = 1000, .sharding = sharding};
    for (size_t i = 0; i < count; ++i) options.devices.push_back("gpu:" + std::to_string(i));
    const nn::Model model = classifier(distribute::MirroredStrategy(options), optimizer);
    fit(model, 6);
    for (const nn::Variable& variable : model.weights())
      for (size_t i = 0; i < count; ++i)
        EXPECT_TRUE(bitwise_equal(variable.impl().value(*gpus()[i]), variable.value()));
    std::vector<Tensor> all = model.get_weights();
    for (const nn::Variable& slot : optimizer.variables()) all.push_back(slot.value());
    return all;
  };
  const auto expect_same_bits = [&](size_t count, int replicas, const auto& make) {
    if (!has(count)) return;
    const std::vector<Tensor> want = train(count, replicas, Sharding::kNone, make());
    for (const Sharding sharding : {Sharding::kZero1, Sharding::kZero2}) {
      const std::vector<Tensor> got = train(count, replicas, sharding, make());
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < want.size(); ++i)
        EXPECT_TRUE(bitwise_equal(got[i], want[i])) << count << " GPUs, variable " << i;
    }
  };
  const auto adam = [] {
    return nn::Optimizer(nn::Adam({.learning_rate = 0.01, .clipvalue = 0.01}));
  };
  const auto momentum = [] {
    return nn::Optimizer(nn::SGD({.learning_rate = 0.05, .momentum = 0.9}));
  };
  const auto clipnorm = [] {
    return nn::Optimizer(nn::Adam({.learning_rate = 0.01, .clipnorm = 0.02}));
  };
  const auto global_clipnorm = [] {
    return nn::Optimizer(nn::SGD(
        {.learning_rate = 0.05, .global_clipnorm = 0.05, .gradient_accumulation_steps = 2}));
  };
  expect_same_bits(2, 2, adam);
  expect_same_bits(4, 4, momentum);
  expect_same_bits(2, 2, clipnorm);
  expect_same_bits(4, 4, global_clipnorm);
  // In turn: dealt to the GPUs where each turn's gradients are scattered.
  for (const int replicas : {6, 8}) {
    expect_same_bits(2, replicas, adam);
    expect_same_bits(4, replicas, global_clipnorm);
  }
}

/// Two ranks and a sum of theirs.
struct Pair {
  explicit Pair(const std::vector<Device*>& devices)
      : ranks(default_runtime().communicator_factory(DeviceType::kGPU)(
            {.devices = std::span(devices).first(2),
             .order = distribute::combine_order({1, 1}),
             .num_replicas = 2})) {
    for (auto& rank : ranks) {
      memory.push_back(rank->allocate_bucket(4096));
      slots.push_back(std::make_unique<void*>(memory.back().get()));
      sums.push_back(rank->prepare({.count = 1024, .buffer = slots.back().get()}));
    }
  }
  std::vector<std::unique_ptr<Communicator>> ranks;
  std::vector<std::shared_ptr<void>> memory;
  std::vector<std::unique_ptr<void*>> slots;
  std::vector<std::unique_ptr<Communicator::Request>> sums;
};

TEST_F(GpuMirroredTest, AnAbortEndsRecordedStepsToo) {
  if (cards().size() < 2) GTEST_SKIP() << "needs 2 cards; here: " << cards().size();
  const std::vector<Device*> devices = cards();
  Pair pair(devices);
  std::vector<std::unique_ptr<Device::Recording>> recordings(2);
  const auto on_both = [&](const std::function<void(size_t)>& body) {
    std::thread other([&] { devices[1]->bind_thread(), body(1); });
    devices[0]->bind_thread();
    body(0);
    other.join();
  };
  const auto sum = [&](size_t r) { pair.sums[r]->start(), pair.sums[r]->wait(); };
  on_both(sum);
  on_both([&](size_t r) {
    ASSERT_TRUE(devices[r]->begin_recording());
    sum(r);
    recordings[r] = devices[r]->end_recording();
  });
  for (int i = 0; i < 3; ++i) on_both([&](size_t r) { recordings[r]->replay(); });
  devices[0]->bind_thread();
  recordings[0]->replay();  // rank 1 does not come
  pair.ranks[1]->abort(Unavailable("rank 1 gives up"));
  for (size_t r = 0; r < 2; ++r)
    expect_error(Code::kUnavailable, {"rank 1 gives up"}, [&] {
      sum(r);
      devices[r]->synchronize();
    });
  recordings.clear();
  ASSERT_TRUE(pair.ranks[0]->reset());
  on_both([&](size_t r) { sum(r), devices[r]->synchronize(); });
}

TEST_F(GpuMirroredTest, UploadsBehindASilentPeerEndWithTheAbort) {
  if (cards().size() < 2) GTEST_SKIP() << "needs 2 cards; here: " << cards().size();
  const std::vector<Device*> devices = cards();
  Pair pair(devices);
  devices[0]->bind_thread();
  pair.sums[0]->start();
  pair.sums[0]->wait();
  std::thread killer([&] { pair.ranks[1]->abort(Unavailable("rank 1 gives up")); });
  const std::vector<char> bytes(64);
  expect_error(Code::kUnavailable, {"rank 1 gives up"}, [&] {
    for (int i = 0; i < 20; ++i) devices[0]->copy_from_host(*pair.slots[0], bytes.data(), 64);
    devices[0]->synchronize();
  });
  killer.join();
}

TEST_F(GpuMirroredTest, AnAbortEndsTheWaitOfLogicalDevices) {
  if (cards().size() > 1 || !has(2)) GTEST_SKIP() << "needs 1 card; here: " << cards().size();
  Pair pair(gpus());
  gpus()[0]->bind_thread();
  pair.sums[0]->start();
  std::thread killer([&] { pair.ranks[1]->abort(Unavailable("rank 1 gives up")); });
  expect_error(Code::kUnavailable, {"rank 1 gives up"}, [&] { pair.sums[0]->wait(); });
  killer.join();
  gpus()[0]->synchronize();
}

TEST_F(GpuMirroredTest, NcclForLogicalDevicesIsRefused) {
  if (cards().size() > 1 || !has(2)) GTEST_SKIP() << "needs 1 card; here: " << cards().size();
  expect_error(Code::kInvalidArgument, {"NCCL", "several logical devices of the card"}, [] {
    distribute::MirroredStrategy(
        {.devices = {"gpu:0", "gpu:1"}, .cross_device_ops = distribute::CrossDeviceOps::kNccl});
  });
}

}  // namespace
}  // namespace cohort::testing
