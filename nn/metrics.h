#pragma once

#include <string>
#include <tuple>

#include "cohort/nn/metrics/accuracy.h"
#include "cohort/nn/metrics/auc.h"
#include "cohort/nn/metrics/confusion.h"
#include "cohort/nn/metrics/f_score.h"
#include "cohort/nn/metrics/mean.h"
#include "cohort/nn/metrics/mean_iou.h"
#include "cohort/nn/metrics/regression.h"
#include "cohort/nn/metrics/top_k.h"

namespace cohort::nn {
namespace metrics {

/// What may also be given by its name, kName: this list is all that a new metric is entered into.
using GivenByName = std::tuple<AUC, Accuracy, BinaryAccuracy, CategoricalAccuracy, F1Score,
                               FBetaScore, FalseNegatives, FalsePositives, Mean, MeanAbsoluteError,
                               MeanSquaredError, Precision, Recall, RootMeanSquaredError,
                               SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy, Sum,
                               TopKCategoricalAccuracy, TrueNegatives, TruePositives>;

}  // namespace metrics

/// A metric by name, "precision" or "Precision"; it keeps that name. "accuracy" ("acc") is chosen
/// by the shapes of labels and predictions, as in Keras: binary for predictions [N, 1], sparse
/// where the labels lack the classes' dimension, else categorical. Throws InvalidArgument that
/// lists the known names.
Metric make_metric(const std::string& name, const Shape& y_true, const Shape& y_pred);

}  // namespace cohort::nn
