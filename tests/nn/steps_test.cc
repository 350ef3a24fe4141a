// Steps that are asked for and a dataset that has fewer.
#include <gmock/gmock.h>

#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StepsTest : public ::testing::Test {
 protected:
  StepsTest() {
    model_.set_weights({Tensor::from<float>({0}, {1, 1})});
    model_.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  }
  /// What `body` writes to standard error.
  template <class Body>
  static std::string said(Body&& body) {
    ::testing::internal::CaptureStderr();
    body();
    return ::testing::internal::GetCapturedStderr();
  }
  static data::Dataset rows(const std::vector<float>& labels, int64_t batch_size) {
    const auto count = static_cast<int64_t>(labels.size());
    return data::Dataset::from_tensor_slices(
               {Tensor(DType::kF32, {count, 1}), Tensor::from(labels, {count, 1})})
        .batch(batch_size);
  }

  const Sequential model_{{Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})}};
  const data::Dataset five_ = rows({1, 1, 1, 1, 4}, 2);  // losses 1, 1, 16: 20 / 5 = 4
};

TEST_F(StepsTest, EvaluateEndsWithTheDataAndSaysSo) {
  double loss = 0;
  EXPECT_THAT(said([&] { loss = model_.evaluate(five_, {.verbose = 0, .steps = 4})["loss"]; }),
              AllOf(HasSubstr("evaluate: got 4 steps"), HasSubstr("ended after 3")));
  EXPECT_NEAR(loss, 4, 1e-6);
  EXPECT_THAT(said([&] { loss = model_.evaluate(five_, {.verbose = 0, .steps = 3})["loss"]; }),
              IsEmpty());
  EXPECT_NEAR(loss, 4, 1e-6);
  EXPECT_NEAR(model_.evaluate(five_, {.verbose = 0, .steps = 2})["loss"], 1, 1e-6);
}

TEST_F(StepsTest, PredictGivesEveryRowOnce) {
  Tensor predictions;
  EXPECT_THAT(said([&] { predictions = model_.predict(five_, {.verbose = 0, .steps = 10}); }),
              AllOf(HasSubstr("predict: got 10 steps"), HasSubstr("ended after 3")));
  EXPECT_EQ(predictions.size(0), 5);
  EXPECT_EQ(model_.predict(five_.repeat(), {.verbose = 0, .steps = 10}).size(0), 17);
}

TEST_F(StepsTest, ValidationEndsWithTheDataAndSaysSoOnce) {
  std::vector<double> losses;
  const std::string text = said([&] {
    losses = model_.fit(
        five_,
        {.epochs = 2, .verbose = 0, .validation_data = five_, .validation_steps = 7})["val_loss"];
  });
  EXPECT_EQ(text, "warning: fit: validation: got 7 steps; the dataset ended after 3 of them\n");
  for (const double loss : losses) EXPECT_NEAR(loss, 4, 1e-6);
}

TEST_F(StepsTest, TrainingBeginsAgainAndSaysSoOnce) {
  const data::Dataset three = rows({1, 2, 3}, 1);
  std::vector<double> losses;
  const std::string text = said([&] {
    losses = model_.fit(three, {.epochs = 3, .verbose = 0, .steps_per_epoch = 2})["loss"];
  });
  EXPECT_EQ(losses, (std::vector<double>{2.5, 5, 6.5}));  // 1, 4 | 9, 1 | 4, 9
  EXPECT_EQ(text,
            "warning: fit: got 2 steps; the dataset ended after 1 of them and begins again: want "
            "more batches, or repeat()\n");
  EXPECT_THAT(said([&] {
                model_.fit(three, {.epochs = 2, .verbose = 0, .steps_per_epoch = 3});
                model_.fit(three.repeat(), {.epochs = 2, .verbose = 0, .steps_per_epoch = 2});
              }),
              IsEmpty());
}

TEST_F(StepsTest, CallbacksAreToldHowManyThereAre) {
  struct Asks : CallbackImpl {
    explicit Asks(int64_t& steps) : steps(steps) {}
    void on_test_begin() override { steps = params().steps; }
    int64_t& steps;
  };
  int64_t steps = 0;
  said([&] {
    model_.evaluate(five_, {.verbose = 0, .steps = 9, .callbacks = {make<Asks>(steps)}});
  });
  EXPECT_EQ(steps, 3);
}

}  // namespace
}  // namespace cohort::nn
