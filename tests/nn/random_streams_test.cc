// No two training steps of a model, and no two runs of a function, have the same random numbers.
#include "cohort/core/ops/random.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

Tensor ones(const Shape& shape) {
  return Tensor::from(std::vector<float>(static_cast<size_t>(shape.num_elements()), 1), shape);
}

/// The elements that a step's dropout kept: of a kernel that was 0, those that have moved.
class ModelStreamTest : public ::testing::Test {
 public:
  ModelStreamTest() { compile(); }

  void compile() const { model_.compile({.optimizer = optimizer_, .loss = "mse"}); }
  std::vector<bool> kept() const {
    std::vector<bool> moved;
    for (const double x : numbers(model_.get_weights()[0])) moved.push_back(x != 0);
    model_.set_weights({Tensor(DType::kF32, {kSize, 1})});
    return moved;
  }
  std::vector<bool> train() const {
    model_.fit(x_, y_, {.verbose = 0});
    return kept();
  }
  std::vector<bool> train_on_batch() const {
    model_.train_on_batch(x_, y_);
    return kept();
  }

  static constexpr int64_t kSize = 256;
  const Optimizer optimizer_ = SGD({.learning_rate = 0.1});
  const Tensor x_ = ones({1, kSize}), y_ = ones({1, 1});
  const Sequential model_{{Input({.shape = {kSize}}), Dropout({.rate = 0.5}),
                           Dense({.units = 1, .use_bias = false, .kernel_initializer = "zeros"})}};
};

TEST_F(ModelStreamTest, GoesOnFromOneCallToTheNext) {
  const std::vector<bool> first = train(), second = train(), third = train_on_batch();
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
  EXPECT_NE(first, third);
}

TEST_F(ModelStreamTest, GoesOnUnderANewOptimizer) {
  const std::vector<bool> first = train();
  model_.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = "mse"});
  EXPECT_NE(train(), first);
}

TEST_F(ModelStreamTest, IsNotTheOptimizers) {
  const std::vector<bool> first = train();
  const Sequential other{{Input({.shape = {kSize}}), Dense({.units = 1, .use_bias = false})}};
  other.compile({.optimizer = optimizer_, .loss = "mse"});
  optimizer_->iterations().assign(Tensor::scalar<int64_t>(0));
  EXPECT_NE(train(), first);
}

TEST_F(ModelStreamTest, StepsThatACallbackMakesCount) {
  class Trains : public CallbackImpl {
   public:
    Trains(const ModelStreamTest& test, std::vector<std::vector<bool>>& seen)
        : test_(test), seen_(seen) {}
    void on_train_batch_end(int64_t, const Logs&) override {
      seen_.push_back(test_.kept());
      seen_.push_back(test_.train_on_batch());
    }

   private:
    const ModelStreamTest& test_;
    std::vector<std::vector<bool>>& seen_;
  };
  std::vector<std::vector<bool>> seen;
  model_.fit(x_, y_, {.epochs = 3, .verbose = 0, .callbacks = {make<Trains>(*this, seen)}});
  ASSERT_EQ(seen.size(), 6u);
  for (size_t i = 0; i < seen.size(); ++i)
    for (size_t j = 0; j < i; ++j) EXPECT_NE(seen[i], seen[j]) << i << " and " << j;
}

/// What a function's dropout keeps, whatever the shape of its argument.
class FunctionStreamTest : public ::testing::Test {
 protected:
  std::vector<double> call(const Shape& shape) const { return numbers(masked_(ones(shape))[0]); }
  std::vector<double> run(const distribute::Strategy& strategy, const Shape& shape) const {
    return numbers(strategy.run(masked_, {distribute::Argument(ones(shape))})[0][0]);
  }

  const Function masked_ = function([](Value x) { return ops::dropout(x, 0.5); });
};

TEST_F(FunctionStreamTest, IsOneOfAllSignatures) {
  const std::vector<double> row = call({256}), column = call({256, 1}), again = call({256});
  EXPECT_NE(row, column);
  EXPECT_NE(row, again);
  EXPECT_NE(column, again);
}

TEST_F(FunctionStreamTest, IsOneOfAllSignaturesUnderAStrategyToo) {
  const auto strategy = distribute::MirroredStrategy({.devices = {"cpu:0"}});
  const std::vector<double> row = run(strategy, {256}), column = run(strategy, {256, 1}),
                            again = run(strategy, {256}), direct = call({256});
  EXPECT_NE(row, column);
  EXPECT_NE(row, again);
  EXPECT_NE(column, again);
  for (const auto& earlier : {row, column, again}) EXPECT_NE(direct, earlier);
}

/// A strategy keeps a bounded number of traces: a function whose trace was dropped goes on.
TEST_F(FunctionStreamTest, OutlivesItsTraces) {
  const auto strategy = distribute::MirroredStrategy({.devices = {"cpu:0"}});
  const std::vector<double> first = run(strategy, {256});
  for (int64_t rows = 1; rows <= 40; ++rows) run(strategy, {rows, 3});
  EXPECT_NE(run(strategy, {256}), first);
}

}  // namespace
}  // namespace cohort::nn
