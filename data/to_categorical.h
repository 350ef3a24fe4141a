#pragma once

#include "cohort/core/tensor.h"

namespace cohort::data {

/// Keras' to_categorical: integer class numbers of shape [d…] (or [d…, 1]) as f32 one-hot rows
/// [d…, num_classes]. num_classes -1 is the largest label plus one.
/// Throws InvalidArgument for a label outside [0, num_classes), naming it and its index, and for
/// labels that are not integers.
Tensor to_categorical(const Tensor& labels, int64_t num_classes = -1);

}  // namespace cohort::data
