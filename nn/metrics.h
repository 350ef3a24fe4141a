#pragma once

#include <cohort/made/metrics.h>
#include <string>

namespace cohort::nn {

/// A metric by name (kName), "precision" or "Precision"; it keeps that name. "accuracy" ("acc") is
/// chosen by the shapes of labels and predictions, as in Keras: binary for predictions [N, 1],
/// sparse where the labels lack the classes' dimension, else categorical. Throws InvalidArgument
/// that lists the known names.
Metric make_metric(const std::string& name, const Shape& y_true, const Shape& y_pred);

}  // namespace cohort::nn
