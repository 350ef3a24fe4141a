#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
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

/// Files of weights as Keras has them: recorded ones give Keras' predictions, and ours have the
/// same datasets. tests/interop/keras_weights.py asks Keras itself.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::make_weight_model;

std::string recorded(const std::string& model) {
  return COHORT_SOURCE_DIR "/tests/golden/weights/" + model + ".weights.h5";
}

Tensor predict(const Model& model, const std::string& name) {
  return model.predict_all(testing::weight_model_inputs(name), {.verbose = 0}).front();
}

/// Paths, dtypes and shapes.
std::vector<std::string> datasets(const std::string& path) {
  std::vector<std::string> lines;
  const auto file = checkpoint::open_hdf5(path);
  for (const auto& each : file->datasets())
    lines.push_back(fmt::format("{} {} {}", each.path, each.dtype, each.shape));
  return lines;
}

class WeightsFileTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  }
};

INSTANTIATE_TEST_SUITE_P(Of, WeightsFileTest,
                         ::testing::Values("sequential", "functional", "nested", "subclassed"));

TEST_P(WeightsFileTest, KerasFilesGiveKerasPredictions) {
  const std::string name = GetParam();
  const Model model = make_weight_model(name);
  model.load_weights(recorded(name));
  const Tensor want = testing::Golden("weights")[name + "/y"];
  const Tensor got = predict(model, name);
  ASSERT_EQ(got.shape(), want.shape());
  for (int64_t i = 0; i < want.num_elements(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i],
                2e-6f * (1 + std::abs(want.data<float>()[i])));
}

TEST_P(WeightsFileTest, OursHaveTheDatasetsOfKeras) {
  const std::string name = GetParam();
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/mine.weights.h5";
  const Model model = make_weight_model(name);
  model.save_weights(path);
  EXPECT_EQ(datasets(path), datasets(recorded(name)));

  const std::string before = model.fingerprint();
  model.load_weights(recorded(name));
  EXPECT_NE(model.fingerprint(), before);
  model.load_weights(path);
  EXPECT_EQ(model.fingerprint(), before);
}

class WeightsFile : public WeightsFileTest {};
INSTANTIATE_TEST_SUITE_P(With, WeightsFile, ::testing::Values("HDF5"));

/// Two layers of one shape, so that only names tell them apart.
Sequential twins(const std::string& first, const std::string& second) {
  return Sequential({Input({.shape = {3}}), Dense({.units = 3, .name = first}),
                     Dense({.units = 3, .name = second})});
}

TEST_P(WeightsFile, WhatDoesNotFitIsNamedAndNothingChanges) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.weights.h5";
  twins("first", "second").save_weights(path);

  const Sequential swapped = twins("second", "first");
  const std::string before = swapped.fingerprint();
  expect_error(Code::kInvalidArgument,
               {path, "layers/dense: the file's layer is called \"first\", the model's \"second\"",
                "layers/dense_1", "skip_mismatch"},
               [&] { swapped.load_weights(path); });
  EXPECT_EQ(swapped.fingerprint(), before);

  const Sequential shorter({Input({.shape = {3}}), Dense({.units = 3, .name = "first"})});
  expect_error(Code::kInvalidArgument, {"layers/dense_1/vars/0 of [3, 3]: no weight takes it"},
               [&] { shorter.load_weights(path); });
  const Sequential other({Input({.shape = {3}}), Dense({.units = 3, .name = "first"}),
                          Dense({.units = 3, .use_bias = false, .name = "second"}),
                          Dense({.units = 3})});
  expect_error(Code::kInvalidArgument,
               {"layers/dense_1/vars/1 of [3]: no weight takes it",
                "layers/dense_2/vars/0: the file has nothing for"},
               [&] { other.load_weights(path); });
  const Sequential wider({Input({.shape = {3}}), Dense({.units = 4, .name = "first"})});
  expect_error(Code::kInvalidArgument,
               {"layers/dense/vars/0: the file has float32 of [3, 3]", "[3, 4]"},
               [&] { wider.load_weights(path); });
}

TEST_P(WeightsFile, WhatFitsCanBeTakenAlone) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.weights.h5";
  const Sequential saved = twins("first", "second");
  saved.save_weights(path);
  const Sequential model({Input({.shape = {3}}), Dense({.units = 3, .name = "first"}),
                          Dense({.units = 2, .name = "head"})});
  const Tensor head = model.get_weights()[2];
  ::testing::internal::CaptureStderr();
  model.load_weights(path, {.skip_mismatch = true});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("warning: load_weights: " + path + ": loaded what fits"));
  EXPECT_TRUE(bitwise_equal(model.get_weights()[0], saved.get_weights()[0]));
  EXPECT_TRUE(bitwise_equal(model.get_weights()[2], head));
}

TEST_P(WeightsFile, AutomaticNamesMayDiffer) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.weights.h5";
  const Sequential saved({Input({.shape = {3}}), Dense({.units = 2})});
  saved.save_weights(path);
  const Sequential model({Input({.shape = {3}}), Dense({.units = 2})});
  ASSERT_NE(model.layers().back().name(), saved.layers().back().name());
  model.load_weights(path);
  EXPECT_EQ(model.fingerprint(), saved.fingerprint());
}

TEST_P(WeightsFile, BadPathsAndModelsAreRefused) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.weights.h5";
  const Sequential model = twins("a", "b");
  expect_error(Code::kInvalidArgument, {"save_weights", "\"x.h5\"", ".weights.h5"},
               [&] { model.save_weights("x.h5"); });
  expect_error(Code::kNotFound, {path}, [&] { model.load_weights(path); });
  expect_error(Code::kNotFound, {folder.path() + "/none"},
               [&] { model.save_weights(folder.path() + "/none/a.weights.h5"); });
  model.save_weights(path);
  expect_error(Code::kAlreadyExists, {path, "overwrite"},
               [&] { model.save_weights(path, {.overwrite = false}); });
  const Sequential unbuilt({Dense({.units = 2})});
  expect_error(Code::kFailedPrecondition, {"save_weights", "has no weights yet"},
               [&] { unbuilt.save_weights(path); });
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "a.weights.h5");
}

/// Bytes changed or cut off give an error or the weights as they were read, never a crash. (HDF5
/// has no checksums over data: a Checkpoint has.)
TEST_P(WeightsFile, DamagedFilesNeverCrash) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.weights.h5";
  const Sequential model = twins("first", "second");
  std::ifstream file(recorded("functional"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::ofstream(path, std::ios::binary) << testing::damaged(whole, random);
    try {
      model.load_weights(path, {.skip_mismatch = i % 2 == 0});
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
}

TEST_P(WeightsFile, LinksToOtherFilesAreRefused) {
  expect_error(Code::kDataLoss, {"external_link.h5", "got a link to another place"}, [&] {
    checkpoint::open_hdf5(COHORT_SOURCE_DIR "/tests/golden/weights/external_link.h5");
  });
  expect_error(Code::kDataLoss, {"external_data.h5", "lies in other files"}, [&] {
    checkpoint::open_hdf5(COHORT_SOURCE_DIR "/tests/golden/weights/external_data.h5");
  });
  expect_error(Code::kDataLoss, {"virtual_data.h5", "lies in other files"}, [&] {
    checkpoint::open_hdf5(COHORT_SOURCE_DIR "/tests/golden/weights/virtual_data.h5");
  });
  expect_error(Code::kDataLoss, {"huge.h5", "more than 2^40"},
               [&] { checkpoint::open_hdf5(COHORT_SOURCE_DIR "/tests/golden/weights/huge.h5"); });
}

/// On which HDF5 1.10 crashes.
TEST_P(WeightsFile, AFileThatTheLibraryDoesNotBearIsAnErrorToo) {
  const std::string path = COHORT_SOURCE_DIR "/tests/golden/weights/crash.h5";
  expect_error(Code::kDataLoss, {path}, [&] { checkpoint::open_hdf5(path); });
  EXPECT_FALSE(checkpoint::open_hdf5(recorded("nested"))->datasets().empty());
}

TEST_P(WeightsFile, EveryDTypeComesBack) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/a.h5";
  std::vector<std::pair<std::string, Tensor>> values;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI32,
                            DType::kI64, DType::kU8, DType::kI8, DType::kBool})
    values.emplace_back("x/" + std::string(dtype_name(dtype)), Tensor::full(dtype, Shape{2, 3}, 1));
  values.emplace_back("x/scalar", Tensor::scalar<int64_t>(int64_t{1} << 60));
  const auto out = checkpoint::create_hdf5(path);
  out->make_group("x");
  out->set_attribute("x", "name", "groß");
  for (const auto& [name, value] : values) out->write(name, value);
  out->close();

  const auto in = checkpoint::open_hdf5(path);
  ASSERT_EQ(in->datasets().size(), values.size());
  for (const auto& each : values) {
    const std::string& name = each.first;
    const auto found = std::find_if(in->datasets().begin(), in->datasets().end(),
                                    [&](const auto& dataset) { return dataset.path == name; });
    ASSERT_NE(found, in->datasets().end()) << name;
    EXPECT_TRUE(bitwise_equal(in->read(*found), each.second)) << name;
  }
  EXPECT_EQ(in->attribute("x", "name"), "groß");
  EXPECT_EQ(in->attribute("x", "other"), std::nullopt);
  EXPECT_EQ(in->attribute("y", "name"), std::nullopt);
}

TEST(WeightsFileWithoutHdf5Test, SaysSo) {
  if (testing::built_with::hdf5) GTEST_SKIP() << "this build has HDF5";
  expect_error(Code::kFailedPrecondition, {"COHORT_HDF5=ON"},
               [] { checkpoint::open_hdf5(recorded("sequential")); });
}

}  // namespace
}  // namespace cohort::nn
