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
      {"L1", maker<Regularizer, r::L1>()},
      {"L2", maker<Regularizer, r::L2>()},
      {"L1L2", maker<Regularizer, r::L1L2>()},
  };
  return known;
}

const std::vector<Class<Loss>>& loss_classes() {
  static const std::vector<Class<Loss>> known{
      {"MeanSquaredError", maker<Loss, nn::MeanSquaredError>()},
      {"BinaryCrossentropy", maker<Loss, nn::BinaryCrossentropy>()},
      {"CategoricalCrossentropy", maker<Loss, nn::CategoricalCrossentropy>()},
      {"SparseCategoricalCrossentropy", maker<Loss, nn::SparseCategoricalCrossentropy>()},
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

const std::vector<Class<LearningRateSchedule>>& schedule_classes() {
  namespace s = nn::schedules;
  static const std::vector<Class<LearningRateSchedule>> known{
      {"ExponentialDecay", maker<LearningRateSchedule, s::ExponentialDecay>()},
      {"InverseTimeDecay", maker<LearningRateSchedule, s::InverseTimeDecay>()},
      {"PiecewiseConstantDecay", maker<LearningRateSchedule, s::PiecewiseConstantDecay>()},
      {"PolynomialDecay", maker<LearningRateSchedule, s::PolynomialDecay>()},
      {"CosineDecay", maker<LearningRateSchedule, s::CosineDecay>()},
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
