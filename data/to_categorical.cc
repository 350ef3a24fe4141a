#include "cohort/data/to_categorical.h"

#include <algorithm>

namespace cohort::data {

Tensor to_categorical(const Tensor& labels, int64_t num_classes) {
  if (!labels.defined() || !is_integer(labels.dtype()))
    throw InvalidArgument("to_categorical: got labels of {}; want integers", labels.dtype());
  if (num_classes < -1 || num_classes == 0)
    throw InvalidArgument("to_categorical: got {} classes; want 1 or more, or -1", num_classes);
  const Tensor wide = labels.cast(DType::kI64);
  const auto values = wide.values<int64_t>();
  if (num_classes == -1)
    num_classes = values.empty() ? 0 : *std::max_element(values.begin(), values.end()) + 1;

  Shape shape = labels.shape();
  if (shape.rank() > 1 && shape[shape.rank() - 1] == 1) shape = shape.slice(0, shape.rank() - 1);
  shape.push_back(Dim(std::max<int64_t>(0, num_classes)));
  Tensor one_hot(DType::kF32, shape);
  float* row = one_hot.data<float>();
  for (size_t i = 0; i < values.size(); ++i, row += num_classes) {
    if (values[i] < 0 || values[i] >= num_classes)
      throw InvalidArgument("to_categorical: got label {} at index {}; want 0 to {}", values[i], i,
                            num_classes - 1);
    row[values[i]] = 1.0f;
  }
  return one_hot;
}

}  // namespace cohort::data
