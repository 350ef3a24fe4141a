// Every example does what its head says it shows, in its short form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/built_with.h"

namespace cohort {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

struct Output {
  int code;
  std::string text;
};

/// A command line's exit code and what it wrote, standard error included.
Output run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return {-1, "popen failed"};
  Output output;
  char buffer[4096];
  while (const size_t got = ::fread(buffer, 1, sizeof buffer, pipe))
    output.text.append(buffer, got);
  const int status = ::pclose(pipe);
  output.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

std::string path_of(const std::string& example) {
  return std::string(COHORT_EXAMPLES) + "/" + example;
}

/// What an example writes that ends well.
std::string output_of(const std::string& example, const std::string& arguments = "") {
  const Output output = run(path_of(example) + " " + arguments);
  EXPECT_EQ(output.code, 0) << output.text;
  return output.text;
}

/// The number behind the last `label` in `text`; NaN, which no expectation meets, without one.
double number_after(const std::string& label, const std::string& text) {
  const size_t at = text.rfind(label);
  if (at == std::string::npos) return std::nan("");
  return std::strtod(text.c_str() + at + label.size(), nullptr);
}

TEST(ExamplesTest, FashionMnistLearns) {
  EXPECT_GT(number_after("test accuracy:", output_of("fashion_mnist", "--epochs 1")), 0.8);
}

TEST(ExamplesTest, WhatKerasLearnedHelps) {
  if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  const std::string text =
      output_of("transfer_learning", "--epochs 5 --base " COHORT_SOURCE_DIR
                                     "/examples/transfer_learning_base.weights.h5");
  const double alone = number_after("without the base: test accuracy:", text);
  EXPECT_GT(number_after("fine-tuned: test accuracy:", text), alone + 0.02);
  EXPECT_GT(alone, 0.4);
}

TEST(ExamplesTest, FunctionalLearns) {
  EXPECT_GT(number_after("test accuracy:", output_of("functional")), 0.9);
}

TEST(ExamplesTest, CustomLoopFindsTheLine) {
  EXPECT_LT(number_after("epoch 20: loss", output_of("custom_loop")), 1e-4);
}

TEST(ExamplesTest, SubclassedAutoencoderReconstructs) {
  const std::string text = output_of("subclassing", "--epochs 1");
  EXPECT_LT(number_after("error after:", text), 0.5 * number_after("error before:", text)) << text;
  EXPECT_THAT(text, HasSubstr("Trainable params: 204,832")) << "weights of layers inside layers";
}

TEST(ExamplesTest, SiameseTellsEqualFromDifferent) {
  const std::string text = output_of("siamese", "--epochs 1");
  EXPECT_GT(number_after("test accuracy:", text), 0.8) << text;
  EXPECT_THAT(text, HasSubstr("Total params: 41,696")) << "the encoder's, once";
}

TEST(ExamplesTest, GanComesNearerToTheImages) {
  const std::string text = output_of("gan", "--epochs 1");
  EXPECT_LT(number_after("distance", text), 0.7 * number_after("untrained: distance", text))
      << text;
}

TEST(ExamplesTest, TFRecordPipelineFeedsTraining) {
  EXPECT_GT(number_after("test accuracy:", output_of("tfrecord", "--epochs 1")), 0.75);
}

TEST(ExamplesTest, TFRecordFilesAreSharedByTwoWorkers) {
  const std::string launcher = COHORT_EXAMPLES_LAUNCH;
  if (launcher.empty()) GTEST_SKIP() << "this build starts no jobs of several processes";
  const Output output = run(launcher + " -n 2 " + path_of("tfrecord") + " --epochs 1");
  EXPECT_EQ(output.code, 0) << output.text;
  EXPECT_THAT(output.text, HasSubstr("shared by FILE"));
  EXPECT_THAT(output.text, HasSubstr("938 steps")) << "60000 rows in global batches of 64";
  EXPECT_GT(number_after("test accuracy:", output.text), 0.75) << output.text;
}

TEST(ExamplesTest, PlacementRunsEachTowerOnItsDevice) {
  const std::string text = output_of("placement", "--epochs 1");
  EXPECT_THAT(text, HasSubstr("same weights on one device: yes"));
  EXPECT_THAT(text, ContainsRegex("CPU:0 +[A-Za-z]+ +towers/left"));
  EXPECT_THAT(text, ContainsRegex("CPU:1 +[A-Za-z]+ +towers/right"));
  EXPECT_THAT(text, ContainsRegex("CPU:1 +[A-Za-z]+ +gradients/towers/right"));
  EXPECT_THAT(text, ContainsRegex("CPU:1 +AdamUpdate"));
  EXPECT_THAT(text, Not(ContainsRegex("CPU:1 [^\n]*left")));
  EXPECT_THAT(text, Not(ContainsRegex("CPU:0 [^\n]*right")));
}

TEST(ExamplesTest, OtherArgumentsAreRefused) {
  for (const char* example : {"subclassing", "siamese", "gan", "tfrecord", "placement"}) {
    const Output output = run(path_of(example) + " --epoch 1");
    EXPECT_NE(output.code, 0) << example;
    EXPECT_THAT(output.text, HasSubstr("want --epochs N")) << example;
  }
}

}  // namespace
}  // namespace cohort
