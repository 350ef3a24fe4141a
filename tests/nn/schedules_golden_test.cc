// Learning rate schedules against recorded Keras values, and the callbacks that change the rate.
#include "cohort/core/ops/math.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

LearningRateSchedule make_schedule(const Golden& golden, const std::string& group) {
  const std::string kind = golden.text(group + "/schedule");
  const auto of = [&](const char* name, double fallback = 0) {
    return golden.has(group + "/" + name) ? golden.number(group + "/" + name) : fallback;
  };
  const double initial = of("initial_learning_rate"), steps = of("decay_steps");
  if (kind == "ExponentialDecay")
    return schedules::ExponentialDecay({.initial_learning_rate = initial,
                                        .decay_steps = steps,
                                        .decay_rate = of("decay_rate"),
                                        .staircase = of("staircase") != 0});
  if (kind == "PiecewiseConstantDecay")
    return schedules::PiecewiseConstantDecay(
        {.boundaries = golden.values<int64_t>(group + "/boundaries"),
         .values = golden.values<double>(group + "/values")});
  if (kind == "PolynomialDecay")
    return schedules::PolynomialDecay({.initial_learning_rate = initial,
                                       .decay_steps = steps,
                                       .end_learning_rate = of("end_learning_rate", 0.0001),
                                       .power = of("power", 1),
                                       .cycle = of("cycle") != 0});
  if (kind == "InverseTimeDecay")
    return schedules::InverseTimeDecay({.initial_learning_rate = initial,
                                        .decay_steps = steps,
                                        .decay_rate = of("decay_rate"),
                                        .staircase = of("staircase") != 0});
  schedules::CosineDecay options{.initial_learning_rate = initial,
                                 .decay_steps = steps,
                                 .alpha = of("alpha"),
                                 .warmup_steps = static_cast<int64_t>(of("warmup_steps"))};
  if (golden.has(group + "/warmup_target")) options.warmup_target = of("warmup_target");
  return options;
}

TEST(SchedulesGoldenTest, RatesAtSteps) {
  const Golden golden("schedules");
  for (const std::string& name : golden.cases("schedules")) {
    const std::string group = "schedules/" + name;
    const LearningRateSchedule schedule = make_schedule(golden, group);
    const auto steps = golden.values<int64_t>(group + "/steps");
    const auto rates = golden.values<double>(group + "/rates");
    for (size_t i = 0; i < steps.size(); ++i)
      EXPECT_NEAR(schedule.at(steps[i]), rates[i], 2e-7 + 2e-6 * rates[i])
          << name << " at step " << steps[i];
  }
}

TEST(SchedulesGoldenTest, OptimizersFollowThem) {
  const Golden golden("schedules");
  for (const std::string& name : golden.cases("training")) {
    const std::string group = "training/" + name;
    const auto schedule = make_schedule(golden, "schedules/" + golden.text(group + "/schedule"));
    const Optimizer optimizer = golden.text(group + "/optimizer") == "SGD"
                                    ? Optimizer(SGD({.learning_rate = schedule}))
                                    : Optimizer(Adam({.learning_rate = schedule}));
    const Variable w(Tensor::from<float>({1}, {1}), "w");
    const Function step([&](std::span<const Value> in) {
      optimizer.apply_gradients({{Gradient(in[0]), w}});
      return std::vector<Value>();
    });
    const auto weights = golden.values<double>(group + "/weights");
    for (size_t i = 0; i < weights.size(); ++i) {
      step(Tensor::from<float>({0.5f}, {1}));
      EXPECT_NEAR(w.value().item<double>(), weights[i], 1e-5) << name << " after step " << i + 1;
    }
    EXPECT_NEAR(optimizer.learning_rate(), golden.number(group + "/next_rate"), 1e-6) << name;
  }
}

/// One weight that follows d(w x - y)^2.
struct ScheduleLine {
  explicit ScheduleLine(const Optimizer& optimizer) {
    model.set_weights({Tensor::from<float>({1}, {1, 1})});
    model.compile({.optimizer = optimizer, .loss = "mse"});
  }
  History fit(int64_t epochs, std::vector<Callback> callbacks) const {
    return model.fit(x, y,
                     {.batch_size = 4, .epochs = epochs, .verbose = 0, .callbacks = callbacks});
  }
  Sequential model{{Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})}};
  Tensor x = Tensor::from<float>({1, 1, 1, 1}, {4, 1});
  Tensor y = Tensor(DType::kF32, {4, 1});
};

TEST(SchedulesTest, AFitFollowsASchedule) {
  const ScheduleLine line(SGD({.learning_rate = schedules::PiecewiseConstantDecay(
                                   {.boundaries = {0, 1}, .values = {0.25, 0.5, 0.0}})}));
  line.fit(1, {});
  EXPECT_NEAR(line.model.get_weights()[0].item<double>(), 0.5, 1e-6);  // 1 - 0.25 * 2 w
  line.fit(1, {});
  EXPECT_NEAR(line.model.get_weights()[0].item<double>(), 0, 1e-6);
  EXPECT_EQ(line.model.optimizer().learning_rate(), 0);
}

TEST(SchedulesTest, AUsersScheduleIsRecordedInTheStep) {
  struct Linear : LearningRateScheduleImpl {
    Value rate(Value step) const override { return ops::cast(step + 1.0, DType::kF32) * 0.125; }
  };
  const ScheduleLine line(SGD({.learning_rate = make<Linear>()}));
  line.fit(1, {});
  EXPECT_NEAR(line.model.get_weights()[0].item<double>(), 0.75, 1e-6);
  line.fit(1, {});
  EXPECT_NEAR(line.model.get_weights()[0].item<double>(), 0.375, 1e-6);
}

TEST(SchedulesTest, AScheduledRateCannotBeSetAndIsNoVariable) {
  const Optimizer sgd = SGD(
      {.learning_rate = schedules::CosineDecay({.initial_learning_rate = 0.5, .decay_steps = 10})});
  EXPECT_THROW(sgd.set_learning_rate(0.1), Error);
  EXPECT_EQ(sgd.learning_rate(), 0.5);
  EXPECT_EQ(sgd.variables().size(), 1u);
  EXPECT_EQ(Optimizer(SGD()).variables().size(), 2u);
}

TEST(SchedulesTest, BadArgumentsAreRefused) {
  EXPECT_NE(error_of([] {
              LearningRateSchedule(schedules::ExponentialDecay{
                  .initial_learning_rate = 0.1, .decay_steps = 0, .decay_rate = 0.5});
            }).find("ExponentialDecay: got decay_steps 0; want more than 0"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              LearningRateSchedule(
                  schedules::PiecewiseConstantDecay{.boundaries = {1, 2}, .values = {1, 2}});
            }).find("got 2 boundaries and 2 values"),
            std::string::npos);
  EXPECT_THROW(LearningRateSchedule(
                   schedules::PiecewiseConstantDecay({.boundaries = {2, 2}, .values = {1, 2, 3}})),
               Error);
  EXPECT_THROW(LearningRateSchedule(schedules::CosineDecay(
                   {.initial_learning_rate = 1, .decay_steps = 5, .warmup_steps = 2})),
               Error);
  struct Wrong : LearningRateScheduleImpl {
    Value rate(Value step) const override { return step; }
  };
  const ScheduleLine line(SGD({.learning_rate = make<Wrong>()}));
  EXPECT_NE(error_of([&] { line.fit(1, {}); }).find("scheduled learning rate int64"),
            std::string::npos);
}

TEST(LearningRateSchedulerTest, SetsTheRateBeforeEachEpoch) {
  const ScheduleLine line(SGD({.learning_rate = 0.5}));
  std::vector<double> before;
  const Callback scheduler = LearningRateScheduler{.schedule = [&](int64_t epoch, double rate) {
    before.push_back(rate);
    return epoch == 0 ? 0.25 : 0.0;
  }};
  line.fit(2, {scheduler});
  EXPECT_EQ(before, (std::vector<double>{0.5, 0.25}));
  EXPECT_NEAR(line.model.get_weights()[0].item<double>(), 0.5, 1e-6);
  EXPECT_EQ(line.model.optimizer().learning_rate(), 0);
  const ScheduleLine scheduled(
      SGD({.learning_rate = schedules::InverseTimeDecay(
               {.initial_learning_rate = 1, .decay_steps = 1, .decay_rate = 1})}));
  EXPECT_THROW(scheduled.fit(1, {scheduler}), Error);
  EXPECT_THROW(Callback(LearningRateScheduler{}), Error);
}

/// The rates after each epoch for a loss that takes these values.
std::vector<double> rates_for(const ReduceLROnPlateau& options, std::vector<double> losses) {
  const ScheduleLine line(SGD({.learning_rate = 1}));
  const Callback callback = options;
  callback->set_model(static_cast<ModelImpl*>(line.model.shared().get()));
  callback->on_train_begin();
  std::vector<double> rates;
  for (size_t epoch = 0; epoch < losses.size(); ++epoch) {
    callback->on_epoch_end(static_cast<int64_t>(epoch), Logs({{"loss", losses[epoch]}}));
    rates.push_back(line.model.optimizer().learning_rate());
  }
  return rates;
}

TEST(ReduceLROnPlateauTest, ReducesAfterPatienceDownToTheLeast) {
  EXPECT_EQ(rates_for({.monitor = "loss", .factor = 0.5, .patience = 2, .min_lr = 0.25},
                      {3, 2, 2, 2, 2, 2, 2, 2}),
            (std::vector<double>{1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25}));
}

TEST(ReduceLROnPlateauTest, WaitsOutTheCooldownAndForSmallImprovements) {
  EXPECT_EQ(rates_for({.monitor = "loss", .factor = 0.5, .patience = 1, .cooldown = 2},
                      {2, 2, 2, 2, 2, 2}),
            (std::vector<double>{1, 0.5, 0.5, 0.25, 0.25, 0.125}));
  EXPECT_EQ(
      rates_for({.monitor = "loss", .factor = 0.5, .patience = 1, .min_delta = 0.5}, {2, 1.7, 1.4}),
      (std::vector<double>{1, 0.5, 0.5}));
  EXPECT_THROW(Callback(ReduceLROnPlateau({.factor = 1})), Error);
  EXPECT_THROW(Callback(ReduceLROnPlateau({.monitor = "fancy"})), Error);
}

}  // namespace
}  // namespace cohort::nn
