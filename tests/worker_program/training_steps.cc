#include "tests/worker_program/training_steps.h"

#include <cmath>
#include <limits>

#include "cohort/cohort.h"
#include "cohort/nn/loss_scale.h"
#include "tests/worker_program/say.h"

namespace cohort {
namespace {

constexpr int64_t kRows = 50;  // batches of 16, the last one of 2

data::Dataset waves(bool with_infinity) {
  Tensor x(DType::kF32, {kRows, 6}), y(DType::kF32, {kRows, 2});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(std::sin(1.3 * static_cast<double>(i)));
  for (int64_t i = 0; i < y.num_elements(); ++i)
    y.data<float>()[i] = static_cast<float>(std::cos(0.7 * static_cast<double>(i)));
  if (with_infinity) x.data<float>()[6 * 20] = std::numeric_limits<float>::infinity();
  return data::Dataset::from_tensor_slices({x, y}).batch(16);
}

/// Errors to the fourth power; the optimizer, the update and a metric are the step's.
class OwnSteps : public nn::ModelImpl {
 public:
  OwnSteps() : ModelImpl("OwnSteps") {}
  std::vector<Value> call(const nn::CallArgs& args) override {
    return {head_(hidden_(args.input()))};
  }
  Value compute_loss(const nn::StepBatch& batch) override {
    const Value squares = ops::square(batch.y[0] - batch.y_pred[0]);
    return nn::compute_average_loss(ops::reduce_mean(ops::square(squares), {.axis = {-1}}));
  }
  Value train_step(nn::StepBatch batch) override {
    batch.y_pred = apply(batch.x, {.training = true});
    const Value loss = compute_loss(batch);
    const std::vector<nn::Variable> variables = handle().trainable_weights();
    optimizer().apply_gradients(nn::zip(nn::gradients(loss, variables), variables));
    largest_.update_state(ops::abs(batch.y[0] - batch.y_pred[0]));
    return loss;
  }

 private:
  nn::Layer hidden_ = child("hidden", nn::Dense{.units = 8, .activation = "tanh"});
  nn::Layer head_ = child("head", nn::Dense{.units = 2});
  nn::Metric largest_ = track(nn::Mean{.name = "mean_of_errors"});
};

void say_history(const nn::History& history) {
  for (const auto& [name, values] : history.history())
    say(name.c_str(), fmt::format("{:.17g}", values.back()));
}

}  // namespace

void fit_with_own_steps(const distribute::Strategy& strategy) {
  const nn::Model model = strategy.scope([] {
    const nn::Model made = nn::make<OwnSteps>();
    made.compile({.optimizer = nn::Adam{.learning_rate = 0.02}});
    return made;
  });
  say_history(model.fit(waves(false), {.epochs = 3, .verbose = 0}));
  say("evaluated", fmt::format("{:.17g}", model.evaluate(waves(false), {.verbose = 0})["loss"]));
  say("weights", model.fingerprint());
}

void fit_in_float16(const distribute::Strategy& strategy) {
  nn::set_dtype_policy("mixed_float16");
  const nn::Model model = strategy.scope([] {
    const nn::Model made =
        nn::Sequential({nn::Input({.shape = {6}}), nn::Dense{.units = 8, .activation = "relu"},
                        nn::BatchNormalization{.synchronized = true}, nn::Dense{.units = 2}});
    made.compile({.optimizer = nn::Adam{.learning_rate = 0.02}, .loss = "mse"});
    return made;
  });
  say_history(model.fit(waves(true), {.epochs = 3, .verbose = 0}));
  say("weights", model.fingerprint());
  say("updates", std::to_string(model.optimizer().iterations()));
  say("commits", std::to_string(strategy.commit_number()));
  for (const nn::Variable& variable : model.optimizer()->loss_scale()->variables())
    say(variable.name().c_str(), fmt::format("{}", variable.value().item<double>()));
}

}  // namespace cohort
