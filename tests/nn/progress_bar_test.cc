// What a person sees of a run: on a real pseudo-terminal, with a screen that is emulated.
#include <gmock/gmock.h>

#include <chrono>
#include <cstdio>

#include "tests/nn/support.h"
#include "tests/support/screen.h"
#include "tests/support/thread_allocations.h"

namespace cohort::nn {
namespace {

using cohort::testing::TerminalScope;
using cohort::testing::VariableScope;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Rows = std::vector<std::string>;

/// A process that no launcher has started, whoever runs the tests.
class ProgressBarTest : public ::testing::Test {
 private:
  const VariableScope none_[6] = {{"COHORT_TERMINAL", nullptr}, {"COHORT_RESTART_COUNT", nullptr},
                                  {"PMI_RANK", nullptr},        {"OMPI_COMM_WORLD_RANK", nullptr},
                                  {"PMIX_RANK", nullptr},       {"SLURM_PROCID", nullptr}};
};

/// One weight that follows (w x - y)^2, with eight rows.
struct Line {
  Sequential model{{Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})}};
  Tensor x = Tensor::from<float>({1, 1, 1, 1, 1, 1, 1, 1}, {8, 1});
  Tensor y = Tensor(DType::kF32, {8, 1});

  Line() {
    model.set_weights({Tensor::from<float>({1}, {1, 1})});
    model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  }
};

struct Paper {
  std::string text;
  ProgressBar bar(bool terminal) {
    return ProgressBar({.print = [this](std::string_view t) { text += t; }, .terminal = terminal});
  }
};

Callback begun(const Callback& bar, int64_t steps) {
  bar->set_params({.verbose = 1, .epochs = 1, .steps = steps});
  bar->on_train_begin();
  bar->on_epoch_begin(0);
  return bar;
}

/// Ends a batch until the bar is drawn, which it is not every time. False: it never was.
bool draw(const Callback& bar, TerminalScope& terminal, int64_t batch, const Logs& logs) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (const std::string before = terminal.bytes(); terminal.bytes() == before;) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    bar->on_train_batch_end(batch, logs);
  }
  return true;
}

/// What two outputs with accuracy have.
Logs logs_of_two_outputs() {
  return Logs({{"kind_accuracy", 0.8765},
               {"kind_loss", 0.4321},
               {"loss", 1.2345},
               {"size_accuracy", 0.5},
               {"size_loss", 0.8024}});
}

/// Without blanks, which are not seen at the end of a row.
std::string joined(const Rows& rows) {
  std::string all;
  for (const std::string& row : rows) all += row;
  std::erase(all, ' ');
  return all;
}

TEST_F(ProgressBarTest, LinesWhereThereIsNoTerminal) {
  const Line line;
  Paper paper;
  line.model.fit(line.x, line.y,
                 {.batch_size = 4,
                  .epochs = 2,
                  .verbose = 0,
                  .callbacks = {paper.bar(false)},
                  .validation_data = {line.x, line.y}});
  EXPECT_THAT(paper.text, HasSubstr("Epoch 1/2\n2/2 - 0s - "));
  EXPECT_THAT(paper.text, HasSubstr("/step - loss: 1.0000 - val_loss: 1.0000\nEpoch 2/2\n"));
  EXPECT_EQ(paper.text.find_first_of("\r\x1b"), std::string::npos);
}

TEST_F(ProgressBarTest, ABarOnATerminal) {
  Paper paper;
  const Callback bar = begun(paper.bar(true), 40);
  const Logs logs({{"accuracy", 0.5}, {"loss", 0.0000123}});
  for (int64_t batch = 0; batch < 40; ++batch) bar->on_train_batch_end(batch, logs);
  EXPECT_LT(std::count(paper.text.begin(), paper.text.end(), '\r'), 40);  // at most every 50 ms
  bar->on_epoch_end(0, logs);
  cohort::testing::Screen screen(200);
  screen.write(paper.text);
  std::string full;
  for (int i = 0; i < 20; ++i) full += "━";
  EXPECT_THAT(screen.rows(),
              ElementsAre(AllOf(StartsWith("40/40 " + full + " 0s "),
                                EndsWith("/step - accuracy: 0.5000 - loss: 1.2300e-05"))));
  EXPECT_EQ(paper.text.back(), '\n');
}

TEST_F(ProgressBarTest, DrawsIntoMemoryItHas) {
  Paper paper;
  paper.text.reserve(1 << 16);
  const Logs logs({{"accuracy", 0.5}, {"loss", 0.25}});
  const TerminalScope terminal(80);
  for (const Callback& bar : {Callback(paper.bar(true)), Callback(ProgressBar())}) {
    begun(bar, 4);
    for (int64_t batch = 0; batch < 4; ++batch) bar->on_train_batch_end(batch, logs);
    const int64_t before = test::thread_allocations();
    bar->on_epoch_end(0, logs);
    ASSERT_EQ(test::thread_allocations(), before);  // its text is lost on the terminal
  }
  EXPECT_THAT(paper.text, HasSubstr("4/4"));
}

TEST_F(ProgressBarTest, TakesOneRowOfAnyTerminalUntilTheEpochEnds) {
  const Logs logs = logs_of_two_outputs();
  const std::string metrics =
      "/step-kind_accuracy:0.8765-kind_loss:0.4321-loss:1.2345-size_accuracy:0.5000-size_loss:0."
      "8024";
  for (const size_t columns : {20, 40, 60, 80, 120, 200}) {
    std::vector<Rows> seen;
    bool drawn = true;
    Rows last;
    {
      TerminalScope terminal(columns);
      const Callback bar = begun(ProgressBar(), 40);
      for (int64_t batch = 0; batch < 4; ++batch) {
        drawn = drawn && draw(bar, terminal, batch, logs);
        seen.push_back(terminal.rows());
      }
      bar->on_epoch_end(0, logs);
      std::printf("next\n");
      last = terminal.rows();
    }
    ASSERT_TRUE(drawn);
    EXPECT_THAT(seen, Each(SizeIs(1))) << columns;
    EXPECT_THAT(seen.back()[0], StartsWith(" 4/40 ━━"));
    EXPECT_EQ(last.back(), "next");
    last.pop_back();
    EXPECT_THAT(joined(last), AllOf(StartsWith("4/40━━"), EndsWith(metrics))) << "whole";
    EXPECT_THAT(last, SizeIs(Le(140 / columns + 1))) << "and once";
  }
}

TEST_F(ProgressBarTest, FollowsATerminalThatIsResized) {
  const Logs logs = logs_of_two_outputs();
  std::vector<Rows> seen;
  bool drawn = true;
  {
    TerminalScope terminal(100);
    const Callback bar = begun(ProgressBar(), 40);
    for (const size_t columns : {100, 60, 30, 90}) {
      terminal.resize(columns);
      for (int64_t batch = 0; batch < 2; ++batch) {
        drawn = drawn && draw(bar, terminal, batch, logs);
        seen.push_back(terminal.rows());
      }
    }
    bar->on_epoch_end(0, logs);
  }
  ASSERT_TRUE(drawn);
  EXPECT_THAT(seen, Each(ElementsAre(StartsWith(" "))));
}

TEST_F(ProgressBarTest, NamesOfAnyScriptFit) {
  const Logs logs({{"精度_한국어_метрика", 0.5}, {"e\u0301cart_🙂", 0.25}, {"two\nlines", 1}});
  for (size_t columns = 40; columns < 100; ++columns) {
    Rows rows, last;
    {
      TerminalScope terminal(columns);
      const Callback bar = begun(ProgressBar(), 40);
      bar->on_train_batch_end(0, logs);
      rows = terminal.rows();
      bar->on_epoch_end(0, logs);
      last = terminal.rows();
    }
    ASSERT_THAT(rows, SizeIs(1)) << columns;
    EXPECT_THAT(joined(last), AllOf(HasSubstr("精度_한국어_метрика:0.5"),
                                    EndsWith("🙂:0.2500-two?lines:1.0000")))
        << columns;
  }
}

TEST_F(ProgressBarTest, OtherCallbacksPrintOnLinesOfTheirOwn) {
  const Line line;
  Rows rows;
  {
    TerminalScope terminal(160);
    line.model.fit(
        line.x, line.y,
        {.batch_size = 4,
         .epochs = 2,
         .callbacks = {StepReport(),
                       LearningRateScheduler(
                           {.schedule = [](int64_t, double rate) { return rate; }, .verbose = 1}),
                       EarlyStopping({.monitor = "loss", .patience = 1, .verbose = 1}),
                       EarlyStopping({.monitor = "nothing", .mode = "min"}),
                       StepTrace({.path = "unwritten", .first_step = 100}),
                       LambdaCallback({.on_epoch_end = [](int64_t, const Logs&) {
                         std::printf("a program's own\n");
                       }})}});
    rows = terminal.rows();
  }
  const auto bar = AllOf(StartsWith("2/2 ━━"), EndsWith("/step - loss: 1.0000"));
  const std::string rate = ": LearningRateScheduler setting learning rate to 0.";
  const std::string absent = "EarlyStopping: monitor nothing is not there; there are loss";
  EXPECT_THAT(rows, ElementsAre("Epoch 1/2", "Epoch 1" + rate,
                                AllOf(StartsWith("epoch 1: "), EndsWith("0 bytes sent")), bar,
                                absent, "a program's own", "Epoch 2/2", "Epoch 2" + rate,
                                AllOf(StartsWith("epoch 2: "), EndsWith("0 bytes sent")), bar,
                                absent, "a program's own", "Epoch 2: early stopping",
                                "StepTrace: training ended after 4 steps, before step 100"));
}

TEST_F(ProgressBarTest, ARunWithinARunHasABarOfItsOwn) {
  const Line line;
  Rows rows;
  {
    TerminalScope terminal(60);
    line.model.fit(line.x, line.y,
                   {.batch_size = 4,
                    .callbacks = {LambdaCallback({.on_train_batch_end = [&](int64_t, const Logs&) {
                      line.model.evaluate(line.x, line.y, {.batch_size = 1});
                    }})}});
    rows = terminal.rows();
  }
  const auto bar = [](const std::string& count) {
    return AllOf(StartsWith(count + " ━━"), EndsWith("loss: 1.0000"));
  };
  ASSERT_GE(rows.size(), 4u);
  EXPECT_THAT(rows, ::testing::Contains(bar("8/8")).Times(2));
  EXPECT_THAT(rows.front(), bar("1/2"));
  EXPECT_THAT(rows.back(), bar("2/2"));
}

TEST_F(ProgressBarTest, ARunThatFailsEndsItsLine) {
  const Line line;
  Rows rows;
  std::string error;
  {
    TerminalScope terminal(60);
    error = error_of([&] {
      line.model.fit(line.x, line.y,
                     {.batch_size = 4,
                      .callbacks = {LambdaCallback({.on_train_batch_end = [](int64_t, const Logs&) {
                        throw Aborted("mine: got enough; want out");
                      }})}});
    });
    std::printf("%s\n", error.c_str());
    rows = terminal.rows();
  }
  EXPECT_THAT(rows, ElementsAre(StartsWith("1/2 ━━"), "mine: got enough; want out"));
}

TEST_F(ProgressBarTest, ARankOfALauncherWritesLines) {
  const Line line;
  const VariableScope rank("OMPI_COMM_WORLD_RANK", "0");
  const auto fit = [&](const char* asked) {
    const VariableScope terminals("COHORT_TERMINAL", asked);
    TerminalScope terminal(80);
    line.model.fit(line.x, line.y, {.batch_size = 4});
    return terminal.bytes();
  };
  EXPECT_THAT(fit(nullptr), AllOf(StartsWith("2/2 - 0s - "), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(fit("1"), HasSubstr("\x1b[K"));
  EXPECT_THAT(error_of([&] { fit("2"); }), HasSubstr("COHORT_TERMINAL: got \"2\""));
}

}  // namespace
}  // namespace cohort::nn
