#include <gtest/gtest.h>

#include <set>

#include "cohort/cohort.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/placement/lowering.h"
#include "cohort/distribute/step_cache.h"
#include "tests/support/expect_error.h"

/// A strategy from outside: what it does otherwise is in this file alone.
namespace cohort::distribute {
namespace {

/// Every gradient, statistic and metric is reduced by a collective of its own.
class ReduceApart final : public Lowering {
 public:
  using Lowering::Lowering;

 private:
  std::vector<Gradient> reduce(ReduceOp op, const std::vector<Term>& terms) override {
    std::vector<Gradient> reduced;
    for (const Term& term : terms) reduced.push_back(ops::all_reduce(term.value.dense(), op));
    return reduced;
  }
};

/// Runs on the replicas of a MirroredStrategy.
class ApartStrategy final : public Strategy::Impl {
 public:
  explicit ApartStrategy(Strategy replicas) : replicas_(std::move(replicas)) {}

  const std::string& name() const override { return name_; }
  int num_replicas_in_sync() const override { return replicas_.num_replicas_in_sync(); }
  std::vector<std::string> devices() const override { return replicas_.devices(); }
  StepCache& step_cache() override { return step_cache_; }
  Trace place(const Trace& trace, int64_t) override { return ReduceApart(trace).run(); }
  std::unique_ptr<StepRunner> make_runner(const Trace& placed, int64_t batch_size) override {
    return replicas_.impl().make_runner(placed, batch_size);
  }

 private:
  const std::string name_ = "ApartStrategy";
  const Strategy replicas_;
  StepCache step_cache_;
};

class OwnStrategyConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  static Strategy mirrored() {
    return MirroredStrategy({.devices = {"cpu:0", "cpu:1"}, .num_replicas = replicas_});
  }
  static Strategy apart() { return Strategy(std::make_shared<ApartStrategy>(mirrored())); }

  static Tensor words() {
    Tensor x(DType::kI32, Shape{22, 3});
    for (int64_t i = 0; i < x.num_elements(); ++i)
      x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7 % 50);
    return x;
  }
  static Tensor labels() {
    Tensor y(DType::kI32, Shape{22});
    for (int64_t i = 0; i < 22; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
    return y;
  }
  static nn::Sequential model() {
    return nn::Sequential(
        {nn::Input({.shape = {3}}), nn::Embedding({.input_dim = 50, .output_dim = 4}),
         nn::Flatten(),
         nn::Dense({.units = 6, .kernel_regularizer = nn::regularizers::L2({.l2 = 0.01})}),
         nn::BatchNormalization(), nn::Dropout({.rate = 0.3}), nn::Dense({.units = 5})});
  }

  struct Trained {
    std::vector<Tensor> weights;
    std::vector<double> loss;
  };
  /// Three epochs in batches of 8; the last has 6 rows.
  static Trained fit(const Strategy& strategy, const nn::Optimizer& optimizer) {
    nn::set_random_seed(3);
    const nn::Model trained = strategy.scope([&] {
      const nn::Model made = model();
      made.compile({.optimizer = optimizer,
                    .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                    .metrics = {"accuracy"}});
      return made;
    });
    const nn::History history =
        trained.fit(words(), labels(), {.batch_size = 8, .epochs = 3, .verbose = 0});
    return {trained.get_weights(), history["loss"]};
  }

  static inline int replicas_ = 2;
};

TEST_F(OwnStrategyConcurrentTest, AnAllReduceOfEveryVariableApartGivesTheSameBits) {
  for (const int replicas : {2, 4}) {
    replicas_ = replicas;
    for (const bool adam : {true, false}) {
      const auto optimizer = [&]() -> nn::Optimizer {
        if (adam) return nn::Adam({.learning_rate = 0.05});
        return nn::SGD({.learning_rate = 0.5, .global_clipnorm = 0.5});
      };
      const Trained together = fit(mirrored(), optimizer());
      const Trained alone = fit(apart(), optimizer());
      ASSERT_EQ(together.weights.size(), alone.weights.size());
      if (adam) {  // with slices the two add up norms of other rows: of a table, of its rows
        EXPECT_EQ(together.loss, alone.loss);
        for (size_t i = 0; i < together.weights.size(); ++i)
          EXPECT_TRUE(bitwise_equal(together.weights[i], alone.weights[i])) << "weight " << i;
      } else {
        for (size_t e = 0; e < together.loss.size(); ++e)
          EXPECT_NEAR(together.loss[e], alone.loss[e], 1e-4);
      }
    }
  }
}

/// What rows have a gradient is lost in a dense sum.
TEST_F(OwnStrategyConcurrentTest, RowsThatAreToStayAreNotMadeDense) {
  replicas_ = 2;
  testing::expect_error(Code::kUnimplemented, {"got a dense sum of the slices", "lazy_rows"},
                        [] { fit(apart(), nn::Adam({.lazy_rows = true})); });
}

/// Collectives of one step of a custom loop.
uint64_t collectives_of_a_step(const Strategy& strategy) {
  const nn::Sequential model = strategy.scope([] {
    return nn::Sequential(
        {nn::Input({.shape = {2}}), nn::Dense({.units = 3}), nn::Dense({.units = 1})});
  });
  const nn::Optimizer optimizer = nn::SGD({.learning_rate = 0.1});
  const Trace step = [&] {
    const StrategyScope scope(strategy);
    return trace(
        [&](std::span<const Value> in) {
          const auto weights = model.trainable_weights();
          const Value loss = nn::compute_average_loss(ops::square(model(in[0])));
          optimizer.apply(nn::gradients(loss, weights), weights);
          return std::vector<Value>{};
        },
        {{DType::kF32, Shape{batch_dim(), 2}}}, "step");
  }();
  const auto runner = strategy.make_runner(step, 4);
  runner->run({Tensor::full(DType::kF32, Shape{4, 2}, 1)}, {});
  return runner->communication_cost().collectives;
}

TEST_F(OwnStrategyConcurrentTest, ItsStepHasACollectiveForEveryVariable) {
  replicas_ = 2;
  EXPECT_EQ(collectives_of_a_step(mirrored()), 1u);
  EXPECT_EQ(collectives_of_a_step(apart()), 4u);
}

TEST_F(OwnStrategyConcurrentTest, ItRunsFunctionsOfItsOwn) {
  replicas_ = 2;
  const Strategy strategy = apart();
  const Function sum =
      function([](Value x) { return get_replica_context().all_reduce(ReduceOp::kSum, x); });
  const auto results = strategy.run(sum, {strategy.distribute_values_from_function([](int r) {
                                      return Tensor::scalar(static_cast<float>(r + 1));
                                    })});
  EXPECT_EQ(results[0][0].item(), 3);
  EXPECT_EQ(results[0][1].item(), 3);
}

}  // namespace
}  // namespace cohort::distribute
