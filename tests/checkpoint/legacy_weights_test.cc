#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/golden/golden.h"
#include "tests/support/built_with.h"
#include "tests/support/damaged.h"
#include "tests/support/expect_error.h"
#include "tests/support/weight_models.h"

/// The .h5 of tf.keras: recorded ones give its predictions.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::make_weight_model;

std::string weights_file(const std::string& name) {
  return COHORT_SOURCE_DIR "/tests/golden/weights/" + name + ".h5";
}

class LegacyWeightsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  }
};
INSTANTIATE_TEST_SUITE_P(Of, LegacyWeightsTest,
                         ::testing::Values("sequential", "functional", "nested", "subclassed"));

TEST_P(LegacyWeightsTest, GiveThePredictionsOfTfKeras) {
  const std::string name = GetParam();
  const Model model = make_weight_model(name);
  model.load_weights(weights_file("legacy_" + name));
  const Tensor want = testing::Golden("legacy_weights")[name + "/y"];
  const Tensor got = model.predict_all(testing::weight_model_inputs(name), {.verbose = 0}).front();
  ASSERT_EQ(got.shape(), want.shape());
  for (int64_t i = 0; i < want.num_elements(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i],
                2e-6f * (1 + std::abs(want.data<float>()[i])));
}

class LegacyWeights : public LegacyWeightsTest {};
INSTANTIATE_TEST_SUITE_P(With, LegacyWeights, ::testing::Values("HDF5"));

/// Layers "shared" [4, 3] and "head" [3, 2], as the file has them, under other names or sizes.
Sequential chain(const std::string& first, const std::string& second, int64_t units = 2) {
  return Sequential({Input({.shape = {4}}), Dense({.units = 3, .name = first}),
                     Dense({.units = units, .name = second})});
}

TEST_P(LegacyWeights, LayersGoInOrderAndChosenNamesCount) {
  const std::string path = weights_file("legacy_functional");
  chain("shared", "head").load_weights(path);
  const Sequential renamed = chain("shared", "tail");
  const std::string before = renamed.fingerprint();
  expect_error(Code::kInvalidArgument,
               {path, "layer 1: the file's layer is called \"head\", the model's \"tail\""},
               [&] { renamed.load_weights(path); });
  EXPECT_EQ(renamed.fingerprint(), before);
  expect_error(Code::kInvalidArgument,
               {"head/head/kernel:0: the file has float32 of [3, 2]", "[3, 5]"},
               [&] { chain("shared", "head", 5).load_weights(path); });
  const Sequential longer({Input({.shape = {4}}), Dense({.units = 3, .name = "shared"}),
                           Dense({.units = 2, .name = "head"}), Dense({.units = 2})});
  expect_error(Code::kInvalidArgument,
               {"weights for 2 layers, the model has 3", "the file has nothing for it"},
               [&] { longer.load_weights(path); });
  const Sequential shorter({Input({.shape = {4}}), Dense({.units = 3, .name = "shared"})});
  expect_error(Code::kInvalidArgument, {"head: no layer takes the file's weights"},
               [&] { shorter.load_weights(path); });
  const Sequential unbiased({Input({.shape = {4}}), Dense({.units = 3, .name = "shared"}),
                             Dense({.units = 2, .use_bias = false, .name = "head"})});
  expect_error(Code::kInvalidArgument,
               {"head: the file has 2 weights (head: kernel [3, 2] bias [2]), the model 1 (head: "
                "kernel [3, 2])"},
               [&] { unbiased.load_weights(path); });
}

TEST_P(LegacyWeights, ByNameTakesLayersWhereverTheyStand) {
  const std::string path = weights_file("legacy_functional");
  const Sequential whole = chain("shared", "head");
  whole.load_weights(path);
  const Sequential model({Input({.shape = {3}}), Dense({.units = 2, .name = "head"}),
                          Dense({.units = 4, .name = "new"}), Dense({.units = 3})});
  const std::vector<Tensor> before = model.get_weights();
  model.load_weights(path, {.by_name = true});
  EXPECT_TRUE(bitwise_equal(model.get_weights()[0], whole.get_weights()[2]));
  EXPECT_TRUE(bitwise_equal(model.get_weights()[1], whole.get_weights()[3]));
  for (size_t i = 2; i < before.size(); ++i)
    EXPECT_TRUE(bitwise_equal(model.get_weights()[i], before[i]));

  const Sequential wider({Input({.shape = {3}}), Dense({.units = 3, .name = "head"}),
                          Dense({.units = 3, .name = "shared"})});
  expect_error(Code::kInvalidArgument,
               {"head/head/kernel:0: the file has float32 of [3, 2]", "[3, 3]"},
               [&] { wider.load_weights(path, {.by_name = true}); });
  ::testing::internal::CaptureStderr();
  const Tensor kept = wider.get_weights()[0];
  wider.load_weights(path, {.skip_mismatch = true, .by_name = true});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("head/head/bias:0"));
  EXPECT_TRUE(bitwise_equal(wider.get_weights()[0], kept));
  EXPECT_TRUE(bitwise_equal(wider.get_weights()[3], whole.get_weights()[1]));
  expect_error(Code::kInvalidArgument, {"called as one of the file: \"shared\" \"head\""},
               [&] { chain("a", "b").load_weights(path, {.by_name = true}); });
  expect_error(Code::kInvalidArgument, {"a.safetensors", "by_name"},
               [&] { whole.load_weights("a.safetensors", {.by_name = true}); });
}

TEST_P(LegacyWeights, OtherFilesAreRefused) {
  const TemporaryDirectory folder;
  const Sequential model = chain("shared", "head");
  const std::string keras3 = folder.path("keras3.h5");
  std::filesystem::copy_file(weights_file("functional.weights"), keras3);
  expect_error(Code::kDataLoss, {keras3, "no list \"layer_names\"", ".weights.h5"},
               [&] { model.load_weights(keras3); });
  expect_error(Code::kDataLoss, {"lost_weight.h5: dense/../../etc/kernel:0: got no such array"},
               [&] { model.load_weights(weights_file("lost_weight")); });
  expect_error(Code::kNotFound, {"none.h5"}, [&] { model.load_weights(folder.path("none.h5")); });
}

TEST_P(LegacyWeights, WaysThatDoNotEndAndBombsAreRefused) {
  for (const char* link : {"soft_link", "cycle", "many_paths", "deep"})
    expect_error(Code::kDataLoss, {std::string(link) + ".h5", "got"},
                 [&] { checkpoint::open_hdf5(weights_file(link)); });
  // What a file claims to have is allocated only where a weight has that size.
  const Sequential model({Input({.shape = {4}}), Dense({.units = 3, .use_bias = false})});
  expect_error(Code::kInvalidArgument, {"the file has float32 of [32768, 32768]"},
               [&] { model.load_weights(weights_file("bomb")); });
}

TEST_P(LegacyWeights, DamagedFilesAreReadOrRefused) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("a.h5");
  const Sequential model = chain("shared", "head");
  std::ifstream file(weights_file("legacy_functional"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  std::mt19937 random(11);
  int refused = 0, read = 0;
  for (int i = 0; i < 300; ++i) {
    std::ofstream(path, std::ios::binary) << testing::damaged(whole, random);
    try {
      model.load_weights(path, {.by_name = i % 2 == 0});
      ++read;
    } catch (const Error& error) {
      ++refused;
      EXPECT_TRUE(error.code() == Code::kDataLoss || error.code() == Code::kInvalidArgument ||
                  error.code() == Code::kUnimplemented)
          << error.what();
    }
  }
  EXPECT_GT(refused, 30);
  EXPECT_GT(read, 0);
}

}  // namespace
}  // namespace cohort::nn
