#include <gtest/gtest.h>

#include "cohort/cohort.h"
#include "tests/nn/support.h"

/// Models and the strategies in whose scopes they are made, compiled and used.
namespace cohort::nn {
namespace {

distribute::Strategy mirrored() {
  return distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
}

Model one_unit() { return Sequential({Input({.shape = {1}}), Dense({.units = 1})}); }

CompileOptions options() { return {.optimizer = "sgd", .loss = "mse"}; }

TEST(CompileScopeTest, IsThatOfTheModel) {
  const distribute::Strategy strategy = mirrored(), other = mirrored();
  const Model inside = strategy.scope(one_unit), outside = one_unit();
  EXPECT_EQ(
      error_of([&] { strategy.scope([&] { outside.compile(options()); }); }),
      outside.name() +
          ": compile: got a call in the scope of MirroredStrategy for a model made in that of "
          "DefaultStrategy; want model and compile() in one scope");
  EXPECT_NE(error_of([&] { other.scope([&] { inside.compile(options()); }); }), "no error");
  EXPECT_FALSE(outside.model_impl().compiled());
  // Keras takes a compile outside of every scope, too: it uses the model's.
  for (const auto& compile :
       {std::function([&] { inside.compile(options()); }),
        std::function([&] { outside.compile(options()); }),
        std::function([&] { strategy.scope([&] { inside.compile(options()); }); })})
    EXPECT_EQ(error_of(compile), "no error");
  EXPECT_TRUE(inside.model_impl().strategy() == strategy);
}

TEST(CompileScopeTest, AModelOutsideOfAJobSaysOnceThatItTrainsAlone) {
  const Model model = one_unit();
  model.compile(options());
  const Tensor x = Tensor::full(DType::kF32, Shape{4, 1}, 1);
  const auto said = [&] {
    ::testing::internal::CaptureStderr();
    model.fit(x, x, {.verbose = 0});
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said(), "");
  auto job = std::make_shared<const std::string>("SomeStrategy");
  default_runtime().note_job(job);
  EXPECT_EQ(said(), "warning: " + model.name() +
                        ": trains in each process on its own: it was made outside of the scope of "
                        "SomeStrategy\n");
  EXPECT_EQ(said(), "");
  job.reset();
  EXPECT_EQ(default_runtime().job(), nullptr);
}

TEST(StrategyOwnershipTest, AFunctionThatHoldsItsModelKeepsNothingAlive) {
  std::weak_ptr<LayerImpl> watch;
  {
    const distribute::Strategy strategy = mirrored();
    const Model model = strategy.scope(one_unit);
    watch = model.shared();
    strategy.run(function([model, strategy](Value x) { return model(x); }),
                 {Tensor::full(DType::kF32, Shape{1, 1}, 1)});
    ASSERT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

/// Every length of a sequence is a step of its own.
TEST(ManyShapesTest, LengthsInTurnAreTracedOnce) {
  int traces = 0;
  class Counting : public LayerImpl {
   public:
    explicit Counting(int& traces) : LayerImpl("Counting"), traces_(traces) {}
    std::vector<Value> call(const CallArgs& args) override {
      ++traces_;
      return {ops::reduce_mean(args.input(), {.axis = {1}})};
    }

   private:
    int& traces_;
  };
  const Sequential model({make<Counting>(traces), Dense({.units = 1})});
  model.compile(options());
  const auto train = [&](int64_t length) {
    model.train_on_batch(Tensor::full(DType::kF32, Shape{2, length, 3}, 1),
                         Tensor::full(DType::kF32, Shape{2, 1}, 1));
  };
  constexpr int kLengths = 40;
  ::testing::internal::CaptureStderr();
  for (int length = 1; length <= kLengths; ++length) train(length);
  const int first = traces;
  for (int round = 0; round < 3; ++round)
    for (int length = 1; length <= kLengths; ++length) train(length);
  EXPECT_EQ(traces, first);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace cohort::nn
