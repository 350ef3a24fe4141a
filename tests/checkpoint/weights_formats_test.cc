#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "cohort/checkpoint/safetensors.h"
#include "cohort/checkpoint/tool/commands.h"
#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/golden/golden.h"
#include "tests/support/built_with.h"
#include "tests/support/damaged.h"
#include "tests/support/expect_error.h"
#include "tests/support/weight_models.h"

/// Weights in files of safetensors, and in several files as Keras divides them; tests/interop asks
/// Keras and safetensors' own reader.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::make_weight_model;
namespace fs = std::filesystem;

constexpr double kByte = 1.0 / (1 << 30);  // of max_shard_size
const std::string kRecorded = COHORT_SOURCE_DIR "/tests/golden/weights/sharded.weights.json";

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

Sequential two_dense(const std::string& first, const std::string& second) {
  return Sequential({Input({.shape = {3}}), Dense({.units = 3, .name = first}),
                     Dense({.units = 3, .name = second})});
}

class SafetensorsWeightsTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Of, SafetensorsWeightsTest,
                         ::testing::Values("sequential", "functional", "nested", "subclassed"));

TEST_P(SafetensorsWeightsTest, ComeBack) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("a.safetensors");
  const Model saved = make_weight_model(GetParam()), other = make_weight_model(GetParam());
  for (const Variable& weight : saved.weights())
    weight.assign(Tensor::full(weight.dtype(), weight.shape(), 0.25));
  saved.save_weights(path);
  ASSERT_NE(other.fingerprint(), saved.fingerprint());
  other.load_weights(path);
  EXPECT_EQ(other.fingerprint(), saved.fingerprint());
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"a.safetensors"});
}

TEST(SafetensorsWeights, AreCalledAsInACheckpoint) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("a.safetensors");
  const Sequential model = two_dense("first", "second");
  model.compile({.optimizer = "adam", .loss = "mse"});
  model.save_weights(path);
  const auto file = checkpoint::posix_storage()->open(path);
  const auto header = checkpoint::read_safetensors_header(*file, path);
  std::vector<std::string> names;
  for (const auto& entry : header.entries) names.push_back(entry.name);
  EXPECT_THAT(names, ::testing::ElementsAre("layers/dense/kernel", "layers/dense/bias",
                                            "layers/dense_1/kernel", "layers/dense_1/bias"));
  EXPECT_EQ(header.metadata.at("name:layers/dense_1"), "second");

  // With the optimizer's state in it, which stays there.
  const Tensor x = Tensor::full(DType::kF32, Shape{4, 3}, 0.5);
  model.train_on_batch(x, x);
  Checkpoint({{"model", model}}).save(folder.path("steps"));
  const std::string converted = folder.path("converted");
  const auto outcome = checkpoint::tool::convert(checkpoint::posix_storage(), folder.path("steps"),
                                                 converted, {.prefix = "model/"});
  ASSERT_EQ(outcome.status, 0);
  const Sequential other = two_dense("first", "second");
  other.load_weights(converted + "/model.safetensors");
  EXPECT_EQ(other.fingerprint(), model.fingerprint());
}

TEST(SafetensorsWeights, WhatDoesNotFitIsNamedAndNothingChanges) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("a.safetensors");
  two_dense("first", "second").save_weights(path);
  const Sequential swapped = two_dense("second", "first");
  const std::string before = swapped.fingerprint();
  expect_error(Code::kInvalidArgument,
               {path, "layers/dense: the file's layer is called \"first\", the model's \"second\""},
               [&] { swapped.load_weights(path); });
  const Sequential wider({Input({.shape = {3}}), Dense({.units = 4, .name = "first"})});
  expect_error(Code::kInvalidArgument,
               {"layers/dense/kernel: the file has float32 of [3, 3]", "[3, 4]",
                "layers/dense_1/bias of [3]: no weight takes it"},
               [&] { wider.load_weights(path); });
  const Sequential longer({Input({.shape = {3}}), Dense({.units = 3, .name = "first"}),
                           Dense({.units = 3, .name = "second"}), Dense({.units = 3})});
  expect_error(Code::kInvalidArgument, {"layers/dense_2/kernel: the file has nothing for"},
               [&] { longer.load_weights(path); });
  EXPECT_EQ(swapped.fingerprint(), before);
  expect_error(Code::kInvalidArgument, {"max_shard_size 1", ".weights.json"},
               [&] { swapped.save_weights(path, {.max_shard_size = 1.0}); });
  expect_error(Code::kAlreadyExists, {path},
               [&] { swapped.save_weights(path, {.overwrite = false}); });
  expect_error(Code::kNotFound, {"none.safetensors"},
               [&] { swapped.load_weights(folder.path("none.safetensors")); });
}

TEST(SafetensorsWeights, DamagedFilesNeverCrash) {
  const TemporaryDirectory folder;
  const std::string path = folder.path("a.safetensors");
  const Model model = make_weight_model("functional");
  model.save_weights(path);
  const std::string whole = contents(path);
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    std::ofstream(path, std::ios::binary) << testing::damaged(whole, random);
    try {
      model.load_weights(path);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 250);
}

class ShardedWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  }
  TemporaryDirectory folder_;
  std::string path_ = folder_.path("a.weights.json");
};

TEST_F(ShardedWeights, KerasFilesGiveKerasPredictions) {
  const Model model = make_weight_model("sequential");
  model.load_weights(kRecorded);
  const Tensor want = testing::Golden("weights")["sequential/y"];
  const Tensor got =
      model.predict_all(testing::weight_model_inputs("sequential"), {.verbose = 0}).front();
  ASSERT_EQ(got.shape(), want.shape());
  for (int64_t i = 0; i < want.num_elements(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i],
                2e-6f * (1 + std::abs(want.data<float>()[i])));

  // Divided as Keras divides them.
  model.save_weights(path_, {.max_shard_size = 550 * kByte});
  std::string ours = contents(path_);
  for (size_t at; (at = ours.find("\"a_")) != ours.npos;) ours.replace(at, 3, "\"sharded_");
  EXPECT_EQ(nlohmann::json::parse(ours), nlohmann::json::parse(contents(kRecorded)));

  const Model other = make_weight_model("sequential");
  other.load_weights(path_);
  EXPECT_EQ(other.fingerprint(), model.fingerprint());
}

TEST_F(ShardedWeights, SizesAreCheckedBeforeAnythingIsWritten) {
  const Model model = make_weight_model("sequential");
  model.save_weights(path_, {.max_shard_size = 1.0});
  const std::vector<std::string> before = names_in(folder_.path());
  EXPECT_EQ(before, (std::vector<std::string>{"a.weights.json", "a_00000.weights.h5"}));
  expect_error(Code::kInvalidArgument, {path_, "/kernel of 540 bytes"},
               [&] { model.save_weights(path_, {.max_shard_size = 500 * kByte}); });
  expect_error(Code::kInvalidArgument, {path_, "got no max_shard_size"},
               [&] { model.save_weights(path_); });
  for (const double size : {0.0, -1.0, std::nan("")})
    expect_error(Code::kInvalidArgument, {path_, "want one of more than 0, in GB"},
                 [&] { model.save_weights(path_, {.max_shard_size = size}); });
  expect_error(Code::kInvalidArgument, {"max_shard_size 1", ".weights.json"},
               [&] { model.save_weights(folder_.path("a.weights.h5"), {.max_shard_size = 1.0}); });
  EXPECT_EQ(names_in(folder_.path()), before);
  make_weight_model("sequential").load_weights(path_);
}

TEST_F(ShardedWeights, BadIndicesAreRefused) {
  const Model model = make_weight_model("sequential");
  model.save_weights(path_, {.max_shard_size = 550 * kByte});
  const std::string before = model.fingerprint();
  const auto refuse = [&](const std::string& index, const std::string& said) {
    std::ofstream(path_) << index;
    expect_error(Code::kDataLoss, {path_, said}, [&] { model.load_weights(path_); });
  };
  for (const char* name : {"", ".", "..", "../a_00000.weights.h5", "/etc/passwd", "x/y"})
    refuse(nlohmann::json{{"weight_map", {{"/vars", name}}}}.dump(),
           "the file \"" + std::string(name) + "\"");
  for (const char* text : {"", "{", "[]", "{}", R"({"weight_map": []})"})
    refuse(text, "no such object");
  refuse(R"({"weight_map": {"/vars": [3]}})", "got 3 as a file");
  refuse(std::string(100000, '['), "no such object");

  fs::copy(folder_.path("a_00000.weights.h5"), folder_.path("b.h5"));
  refuse(R"({"weight_map": {"/vars": ["a_00000.weights.h5", "b.h5"]}})",
         "layers/batch_normalization/vars/0 in two of its files, b.h5 among them");
  std::ofstream(path_) << R"({"weight_map": {"/vars": "gone.h5"}})";
  expect_error(Code::kNotFound, {"gone.h5"}, [&] { model.load_weights(path_); });
  EXPECT_EQ(model.fingerprint(), before);
}

}  // namespace
}  // namespace cohort::nn
