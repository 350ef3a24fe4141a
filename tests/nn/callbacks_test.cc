#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>

#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

/// One weight that starts at `start` and follows d(w x - y)^2.
struct Line {
  Sequential model{{Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})}};
  Tensor x = Tensor::from<float>({1, 1, 1, 1, 1, 1, 1, 1}, {8, 1});
  Tensor y = Tensor(DType::kF32, {8, 1});

  explicit Line(double learning_rate = 0.1, int64_t steps_per_execution = 1) {
    model.set_weights({Tensor::from<float>({1}, {1, 1})});
    model.compile({.optimizer = SGD({.learning_rate = learning_rate}),
                   .loss = "mse",
                   .steps_per_execution = steps_per_execution});
  }
  double weight() const { return model.get_weights()[0].item<double>(); }
  History fit(FitOptions options) const {
    options.verbose = 0;
    options.batch_size = 4;
    return model.fit(x, y, options);
  }
};

TEST(CallbacksTest, HooksComeInKerasOrder) {
  std::string seen;
  struct Recorder : CallbackImpl {
    explicit Recorder(std::string& seen) : seen(seen) {}
    void on_train_begin() override { seen += "T("; }
    void on_train_end(const Logs&) override { seen += ")T"; }
    void on_epoch_begin(int64_t epoch) override { seen += "E" + std::to_string(epoch) + "("; }
    void on_epoch_end(int64_t, const Logs& logs) override {
      seen += logs.has("val_loss") ? "v)" : ")";
    }
    void on_train_batch_begin(int64_t batch) override { seen += "b" + std::to_string(batch); }
    void on_train_batch_end(int64_t batch, const Logs&) override {
      seen += "e" + std::to_string(batch);
    }
    void on_test_begin() override { seen += "["; }
    void on_test_end(const Logs&) override { seen += "]"; }
    std::string& seen;
  };
  const Line line;
  line.fit({.epochs = 2,
            .callbacks = {make<Recorder>(seen)},
            .validation_data = {line.x, line.y},
            .validation_freq = 2});
  EXPECT_EQ(seen, "T(E0(b0e0b1e1)E1(b0e0b1e1[]v))T");
}

TEST(CallbacksTest, StepsPerExecutionGroupsBatches) {
  const Line line(0.1, 3);
  std::string seen;
  const LambdaCallback record(
      {.on_train_batch_begin = [&](int64_t batch) { seen += "b" + std::to_string(batch); },
       .on_train_batch_end = [&](int64_t batch,
                                 const Logs&) { seen += "e" + std::to_string(batch); }});
  line.model.fit(line.x, line.y, {.batch_size = 2, .verbose = 0, .callbacks = {record}});
  EXPECT_EQ(seen, "b0e2b3e3");
}

TEST(CallbacksTest, EarlyStoppingStopsAndRestoresTheBestWeights) {
  const Line line(1.2);  // diverges: |1 - 2 * 1.2| > 1
  const History history =
      line.fit({.epochs = 10,
                .callbacks = {EarlyStopping(
                    {.monitor = "loss", .patience = 2, .restore_best_weights = true})}});
  EXPECT_EQ(history.epoch().size(), 3u);
  EXPECT_NEAR(line.weight(), std::pow(1 - 2 * 1.2, 2), 1e-5);  // after the two batches of epoch 0
}

TEST(CallbacksTest, EarlyStoppingWaitsForItsFirstEpochAndHonoursTheBaseline) {
  const Line late(1.2);
  EXPECT_EQ(late.fit({.epochs = 10,
                      .callbacks = {EarlyStopping({.monitor = "loss", .start_from_epoch = 4})}})
                .epoch()
                .size(),
            6u);
  const Line slow(1e-4);  // gets better all the time, but never below the baseline
  EXPECT_EQ(
      slow.fit({.epochs = 10,
                .callbacks = {EarlyStopping({.monitor = "loss", .patience = 3, .baseline = 0.1})}})
          .epoch()
          .size(),
      10u);
}

/// Fits for as many epochs as there are `weights`, with which each is measured: losses of w^2.
void measure(const Line& line, const std::vector<float>& weights, const Callback& callback) {
  const Callback set = LambdaCallback{.on_epoch_begin = [&](int64_t epoch) {
    line.model.set_weights({Tensor::from<float>({weights[static_cast<size_t>(epoch)]}, {1, 1})});
  }};
  line.fit({.epochs = static_cast<int64_t>(weights.size()), .callbacks = {set, callback}});
}

TEST(CallbacksTest, NaNAndInfinityAreNeverBest) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float bad : {NAN, kInfinity}) {
    const Line line(0.0);
    measure(line, {bad, 3, 1, bad, 2},
            EarlyStopping({.monitor = "loss", .patience = 9, .restore_best_weights = true}));
    EXPECT_EQ(line.weight(), 1);
    // They count as epochs without improvement: 3 is best, then two are waited for.
    const Line impatient(0.0);
    measure(impatient, {bad, 3, bad, bad, 1},
            EarlyStopping({.monitor = "loss", .patience = 2, .restore_best_weights = true}));
    EXPECT_EQ(impatient.weight(), 3);
  }
  const Line lost(0.0);  // without a best epoch there is nothing to go back to
  measure(lost, {1e30f, 2e30f},
          EarlyStopping({.monitor = "loss", .patience = 9, .restore_best_weights = true}));
  EXPECT_FLOAT_EQ(static_cast<float>(lost.weight()), 2e30f);
}

TEST(CallbacksTest, AFirstNaNDoesNotCutTheLearningRate) {
  const Line line(0.5);
  measure(line, {NAN, 3, 2, 1}, ReduceLROnPlateau({.monitor = "loss", .patience = 2}));
  EXPECT_EQ(line.model.optimizer().learning_rate(), 0.5);
}

TEST(CallbacksTest, WhatIsComparedWithIsFinite) {
  EXPECT_NE(error_of([] {
              Callback(EarlyStopping({.monitor = "loss", .baseline = NAN}));
            }).find("baseline"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Callback(EarlyStopping({.monitor = "loss", .min_delta = NAN}));
            }).find("min_delta"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              Callback(ReduceLROnPlateau({.monitor = "loss", .min_delta = NAN}));
            }).find("min_delta"),
            std::string::npos);
}

TEST(CallbacksTest, EarlyStoppingModes) {
  EXPECT_NE(
      error_of([] { Callback(EarlyStopping({.monitor = "speed"})); }).find("\"min\" or \"max\""),
      std::string::npos);
  const Line line(0.1);  // the loss falls: for "max" it never improves
  EXPECT_EQ(
      line.fit({.epochs = 5, .callbacks = {EarlyStopping({.monitor = "loss", .mode = "max"})}})
          .epoch()
          .size(),
      2u);
}

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(CallbacksTest, CsvLoggerWritesALineForEachEpoch) {
  const std::string path = ::testing::TempDir() + "cohort_csv_logger_test.csv";
  std::remove(path.c_str());
  const Line line(0.0);
  line.fit({.epochs = 2, .callbacks = {CSVLogger({.filename = path})}});
  EXPECT_EQ(contents(path), "epoch,loss,val_loss\n0,1,NA\n1,1,NA\n");
  line.fit({.epochs = 3,
            .callbacks = {CSVLogger({.filename = path, .append = true})},
            .initial_epoch = 2});
  EXPECT_EQ(contents(path), "epoch,loss,val_loss\n0,1,NA\n1,1,NA\n2,1,NA\n");
  line.fit({.callbacks = {CSVLogger({.filename = path, .separator = ";"})},
            .validation_data = {line.x, line.y}});
  EXPECT_EQ(contents(path), "epoch;loss;val_loss\n0;1;1\n");
  std::remove(path.c_str());
  EXPECT_NE(error_of([&] {
              line.fit({.callbacks = {CSVLogger({.filename = "/nowhere/x.csv"})}});
            }).find("/nowhere/x.csv"),
            std::string::npos);
}

TEST(CallbacksTest, TerminateOnNaNEndsTraining) {
  const Line line(1e30);
  const History history = line.fit({.epochs = 10, .callbacks = {TerminateOnNaN()}});
  EXPECT_EQ(history.epoch().size(), 1u);
  const Line again(1e30);
  EXPECT_NE(error_of([&] {
              again.fit({.epochs = 10, .callbacks = {TerminateOnNaN({.raise_error = true})}});
            }).find("TerminateOnNaN: got loss"),
            std::string::npos);
}

TEST(CallbacksTest, AnErrorInACallbackReachesTheCaller) {
  const Line line;
  const LambdaCallback fails(
      {.on_epoch_end = [](int64_t, const Logs&) { throw Aborted("mine: got enough; want out"); }});
  EXPECT_EQ(error_of([&] { line.fit({.callbacks = {fails}}); }), "mine: got enough; want out");
}

}  // namespace
}  // namespace cohort::nn
