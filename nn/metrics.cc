#include "cohort/nn/metrics.h"

#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

using Make = Metric (*)(const std::string& name);
struct KnownMetric {
  std::string_view name;
  Make make;
};

template <class M>
Metric make_called(const std::string& name) {
  return M({.name = name});
}

template <class... M>
std::vector<KnownMetric> list_of(const std::tuple<M...>*) {
  return {{M::kName, make_called<M>}...};
}

/// Names that Keras has besides.
constexpr KnownMetric kMore[] = {
    {"mae", make_called<metrics::MeanAbsoluteError>},
    {"mse", make_called<metrics::MeanSquaredError>},
    {"bce", [](const std::string& name) -> Metric { return metrics::MeanOfLoss("bce", name); }},
    {"binary_crossentropy",
     [](const std::string& name) -> Metric { return metrics::MeanOfLoss("bce", name); }},
    {"categorical_crossentropy",
     [](const std::string& name) -> Metric {
       return metrics::MeanOfLoss("categorical_crossentropy", name);
     }},
    {"sparse_categorical_crossentropy",
     [](const std::string& name) -> Metric {
       return metrics::MeanOfLoss("sparse_categorical_crossentropy", name);
     }},
};

Metric make_accuracy(const std::string& name, const Shape& y_true, const Shape& y_pred) {
  const Dim last_true = y_true[y_true.rank() - 1], last_pred = y_pred[y_pred.rank() - 1];
  if (last_pred == 1) return BinaryAccuracy({.name = name});
  if (y_true.rank() < y_pred.rank() || last_true == 1)
    return SparseCategoricalAccuracy({.name = name});
  return CategoricalAccuracy({.name = name});
}

}  // namespace

Metric make_metric(const std::string& name, const Shape& y_true, const Shape& y_pred) {
  if (y_true.rank() == 0 || y_pred.rank() == 0)
    throw InvalidArgument("{}: got labels {} and predictions {}; want [N, …]", name, y_true,
                          y_pred);
  if (const std::string lower = internal::lower_case(name); lower == "accuracy" || lower == "acc")
    return make_accuracy(name, y_true, y_pred);
  const std::string snake = internal::is_class_name(name) ? internal::to_snake_case(name) : name;
  std::vector<KnownMetric> known = list_of(static_cast<const metrics::GivenByName*>(nullptr));
  known.insert(known.end(), std::begin(kMore), std::end(kMore));
  std::vector<std::string_view> names{"acc"};
  for (const KnownMetric& entry : known) {
    if (entry.name == snake) return entry.make(name);
    names.push_back(entry.name);
  }
  internal::throw_unknown("metric", name, names);
}

}  // namespace cohort::nn
