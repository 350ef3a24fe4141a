#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/nn/nn.h"

namespace cohort::nn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> lines_for(const std::vector<StepTimes>& workers) {
  std::vector<std::string> lines;
  const Callback report =
      StepReport{.print = [&](std::string_view text) { lines.emplace_back(text); }};
  report.impl().on_step_times(0, workers);
  return lines;
}

TEST(StepReportTest, DividesAStepOfTheChief) {
  EXPECT_THAT(lines_for({{10, 5, 70, 25, 4096}}),
              ElementsAre("epoch 1: 100 us a step: input 5, compute 70, exposed communication 25 "
                          "(25 %); 4096 bytes sent\n"));
}

TEST(StepReportTest, NamesTheWorkerThatTheOthersWaitFor) {
  const auto lines = lines_for({{10, 5, 95, 50, 0}, {10, 5, 95, 50, 0}, {10, 20, 130, 0, 0}});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1],
            "epoch 1: slowest: worker 2, input 20 + compute 130 us, 50 % over the median\n");
}

TEST(StepReportTest, EqualWorkersAreNotNamed) {
  EXPECT_EQ(lines_for({{10, 5, 95, 3, 0}, {10, 5, 97, 1, 0}}).size(), 1u);
}

TEST(StepReportTest, FitGivesTheTimesOfEveryEpoch) {
  std::vector<std::string> lines;
  const Model model = Sequential({Input({.shape = {4}}), Dense({.units = 2})});
  model.compile({.optimizer = SGD(), .loss = MeanSquaredError()});
  const Tensor x(DType::kF32, Shape{64, 4}), y(DType::kF32, Shape{64, 2});
  model.fit(x, y,
            {.batch_size = 8,
             .epochs = 2,
             .verbose = 0,
             .callbacks = {
                 StepReport({.print = [&](std::string_view text) { lines.emplace_back(text); }})}});
  EXPECT_THAT(lines, ElementsAre(HasSubstr("epoch 1: "), HasSubstr("epoch 2: ")));
}

}  // namespace
}  // namespace cohort::nn
