// Models whose parts run on devices of their own.
#include <gmock/gmock.h>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/recorder.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

Model two_parts(const std::string& first, const std::string& second) {
  set_random_seed(3);
  const SymbolicTensor x = Input({.shape = {4}});
  SymbolicTensor y, z;
  {
    const DeviceScope scope(first);
    y = Dense({.units = 8, .activation = "relu", .name = "first"})(x);
  }
  {
    const DeviceScope scope(second);
    z = Dense({.units = 1, .name = "second"})(y);
  }
  const Model model({.inputs = {x}, .outputs = {z}, .name = "parts"});
  model.compile({.optimizer = Adam({.learning_rate = 0.1}), .loss = "mse"});
  return model;
}

std::string train(const Model& model) {
  const Tensor x = Tensor::full(DType::kF32, {6, 4}, 0.5), y = Tensor::full(DType::kF32, {6, 1}, 2);
  for (int i = 0; i < 5; ++i) model.train_on_batch(x, y);
  return model.fingerprint();
}

TEST(PlacementTest, LayersOfAFunctionalModelRunWhereTheyWereCalled) {
  const Model model = two_parts("cpu:1", "cpu:2");
  TraceRecorder recorder;
  default_runtime().record_to(&recorder);
  train(model);
  default_runtime().record_to(nullptr);
  int first = 0, second = 0;
  for (const TraceEvent& event : recorder.events()) {
    if (event.name.find("parts/first") != std::string::npos) {
      EXPECT_THAT(event.track, EndsWith("CPU:1")) << event.name;
      ++first;
    } else if (event.name.find("parts/second") != std::string::npos) {
      EXPECT_THAT(event.track, EndsWith("CPU:2")) << event.name;
      ++second;
    }
  }
  EXPECT_GT(first, 0);
  EXPECT_GT(second, 0);
  const std::vector<Variable> weights = model.weights();
  ASSERT_EQ(weights.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    ASSERT_EQ(weights[i].impl().places().size(), 1u) << weights[i].path();
    EXPECT_EQ(weights[i].impl().places()[0]->device->index(), i < 2 ? 1 : 2) << weights[i].path();
  }
}

TEST(PlacementTest, WhereLayersRunDoesNotChangeTheBits) {
  const std::string on_one = train(two_parts("", ""));
  EXPECT_EQ(train(two_parts("cpu:1", "cpu:2")), on_one);
  EXPECT_EQ(train(two_parts("cpu:3", "")), on_one);
}

TEST(PlacementTest, ReplicasOfOneDeviceMayUseAnother) {
  const distribute::Strategy strategy =
      distribute::MirroredStrategy({.devices = {"cpu:0"}, .num_replicas = 2});
  const auto fingerprint = [&](const char* first, const char* second) {
    return train(strategy.scope([&] { return two_parts(first, second); }));
  };
  EXPECT_EQ(fingerprint("cpu:1", "cpu:2"), fingerprint("", ""));
}

TEST(PlacementTest, ADeviceThatIsNotThereIsRefusedAtTheFirstStep) {
  const Model model = two_parts("", "gpu:5");
  EXPECT_THAT(error_of([&] { train(model); }), HasSubstr("GPU:5"));
}

}  // namespace
}  // namespace cohort::nn
