#include "tests/interop/models/config.h"

namespace cohort::interop {
namespace {

using nn::LearningRateSchedule;
using nn::Loss;
using nn::Optimizer;
using nn::Regularizer;

const std::vector<Class<Regularizer>>& regularizer_classes() {
  namespace r = nn::regularizers;
  static const std::vector<Class<Regularizer>> known{
      {"L1", maker<Regularizer, r::L1>(r::L1Options(), std::pair("l1", &r::L1Options::l1))},
      {"L2", maker<Regularizer, r::L2>(r::L2Options(), std::pair("l2", &r::L2Options::l2))},
      {"L1L2", maker<Regularizer, r::L1L2>(r::L1L2Options(), std::pair("l1", &r::L1L2Options::l1),
                                           std::pair("l2", &r::L1L2Options::l2))},
  };
  return known;
}

/// Losses all have a reduction.
template <class Made, class Options, class... Fields>
Maker<Loss> loss(Options defaults, std::pair<const char*, Fields>... fields) {
  return maker<Loss, Made>(defaults, std::pair("reduction", &Options::reduction), fields...);
}

const std::vector<Class<Loss>>& loss_classes() {
  using Sparse = nn::SparseCategoricalCrossentropyOptions;
  using Categorical = nn::CategoricalCrossentropyOptions;
  using Binary = nn::BinaryCrossentropyOptions;
  static const std::vector<Class<Loss>> known{
      {"MeanSquaredError", loss<nn::MeanSquaredError>(nn::MeanSquaredErrorOptions())},
      {"BinaryCrossentropy",
       loss<nn::BinaryCrossentropy>(Binary(), std::pair("from_logits", &Binary::from_logits),
                                    std::pair("label_smoothing", &Binary::label_smoothing))},
      {"CategoricalCrossentropy",
       loss<nn::CategoricalCrossentropy>(
           Categorical(), std::pair("from_logits", &Categorical::from_logits),
           std::pair("label_smoothing", &Categorical::label_smoothing))},
      {"SparseCategoricalCrossentropy",
       loss<nn::SparseCategoricalCrossentropy>(Sparse(),
                                               std::pair("from_logits", &Sparse::from_logits),
                                               std::pair("ignore_class", &Sparse::ignore_class))},
  };
  return known;
}

/// Optimizers share most of their arguments.
template <class Made, class O, class... Fields>
Maker<Optimizer> optimizer(std::pair<const char*, Fields>... fields) {
  return maker<Optimizer, Made>(
      O(), std::pair("learning_rate", &O::learning_rate),
      std::pair("weight_decay", &O::weight_decay), std::pair("clipnorm", &O::clipnorm),
      std::pair("clipvalue", &O::clipvalue), std::pair("global_clipnorm", &O::global_clipnorm),
      std::pair("gradient_accumulation_steps", &O::gradient_accumulation_steps), fields...);
}

const std::vector<Class<Optimizer>>& optimizer_classes() {
  using nn::Adam;
  using nn::SGD;
  static const std::vector<Class<Optimizer>> known{
      {"SGD", optimizer<SGD, SGD>(std::pair("momentum", &SGD::momentum),
                                  std::pair("nesterov", &SGD::nesterov))},
      {"Adam", optimizer<Adam, Adam>(
                   std::pair("beta_1", &Adam::beta_1), std::pair("beta_2", &Adam::beta_2),
                   std::pair("epsilon", &Adam::epsilon), std::pair("amsgrad", &Adam::amsgrad))},
  };
  return known;
}

Maker<LearningRateSchedule> cosine_decay() {
  using O = nn::schedules::CosineDecayOptions;
  return maker<LearningRateSchedule, nn::schedules::CosineDecay>(
      O{.initial_learning_rate = 0, .decay_steps = 0},
      std::pair("initial_learning_rate", &O::initial_learning_rate),
      std::pair("decay_steps", &O::decay_steps), std::pair("alpha", &O::alpha),
      std::pair("warmup_target", &O::warmup_target), std::pair("warmup_steps", &O::warmup_steps));
}

Maker<LearningRateSchedule> polynomial_decay() {
  using O = nn::schedules::PolynomialDecayOptions;
  return maker<LearningRateSchedule, nn::schedules::PolynomialDecay>(
      O{.initial_learning_rate = 0, .decay_steps = 0},
      std::pair("initial_learning_rate", &O::initial_learning_rate),
      std::pair("decay_steps", &O::decay_steps),
      std::pair("end_learning_rate", &O::end_learning_rate), std::pair("power", &O::power),
      std::pair("cycle", &O::cycle));
}

/// ExponentialDecay and InverseTimeDecay.
template <class Made, class O>
Maker<LearningRateSchedule> decay() {
  return maker<LearningRateSchedule, Made>(
      O{.initial_learning_rate = 0, .decay_steps = 0, .decay_rate = 0},
      std::pair("initial_learning_rate", &O::initial_learning_rate),
      std::pair("decay_steps", &O::decay_steps), std::pair("decay_rate", &O::decay_rate),
      std::pair("staircase", &O::staircase));
}

const std::vector<Class<LearningRateSchedule>>& schedule_classes() {
  namespace s = nn::schedules;
  using Piecewise = s::PiecewiseConstantDecayOptions;
  static const std::vector<Class<LearningRateSchedule>> known{
      {"ExponentialDecay", decay<s::ExponentialDecay, s::ExponentialDecayOptions>()},
      {"InverseTimeDecay", decay<s::InverseTimeDecay, s::InverseTimeDecayOptions>()},
      {"PiecewiseConstantDecay", maker<LearningRateSchedule, s::PiecewiseConstantDecay>(
                                     Piecewise(), std::pair("boundaries", &Piecewise::boundaries),
                                     std::pair("values", &Piecewise::values))},
      {"PolynomialDecay", polynomial_decay()},
      {"CosineDecay", cosine_decay()},
  };
  return known;
}

/// Up to three outputs: lists of options are written down, not made at run time.
template <class T>
nn::PerOutput<T> per_output(const std::vector<T>& values) {
  switch (values.size()) {
    case 0:
      return {};
    case 1:
      return nn::PerOutput<T>{values[0]};
    case 2:
      return {values[0], values[1]};
    case 3:
      return {values[0], values[1], values[2]};
    default:
      throw InvalidArgument("description: got {} outputs; want 3 at most", values.size());
  }
}

nn::MetricSpecs metrics_of(const json& lists, const std::vector<std::string>& outputs) {
  std::vector<nn::MetricSpecs::Entry> named;
  for (size_t i = 0; i < lists.size(); ++i) {
    nn::MetricSpecs::List list;
    for (const std::string name : lists[i]) list.emplace_back(name);
    named.emplace_back(outputs.at(i), list);
  }
  switch (named.size()) {
    case 0:
      return {};
    case 1:
      return named[0].second;
    case 2:
      return {named[0], named[1]};
    case 3:
      return {named[0], named[1], named[2]};
    default:
      throw InvalidArgument("description: got {} outputs; want 3 at most", named.size());
  }
}

}  // namespace

Regularizer regularizer_of(const json& description) {
  return make(description, regularizer_classes());
}

nn::LearningRate learning_rate_of(const json& description) {
  if (description.is_number()) return description.get<double>();
  return make(description, schedule_classes());
}

nn::CompileOptions compile_options_of(const json& description,
                                      const std::vector<std::string>& outputs) {
  std::vector<Loss> losses;
  for (const json& one : description.at("losses")) losses.push_back(make(one, loss_classes()));
  std::vector<double> loss_weights = description.value("loss_weights", std::vector<double>());
  return {
      .optimizer = make(description.at("optimizer"), optimizer_classes()),
      .loss = per_output(losses),
      .loss_weights = per_output(loss_weights),
      .metrics = metrics_of(description.value("metrics", json::array()), outputs),
      .weighted_metrics = metrics_of(description.value("weighted_metrics", json::array()), outputs),
      .steps_per_execution = description.value("steps_per_execution", int64_t{1})};
}

}  // namespace cohort::interop
