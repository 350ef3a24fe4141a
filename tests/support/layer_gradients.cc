#include "tests/support/layer_gradients.h"

#include <gtest/gtest.h>

namespace cohort::testing {

void check_layer_gradients(const nn::Layer& layer, const Shape& shape, bool training,
                           GradientCheck options) {
  ASSERT_EQ(layer.impl().dtype(), DType::kF64) << layer.name() << ": want .dtype = DType::kF64";
  Shape batched = shape;
  batched[0] = batch_dim();
  layer.build({{DType::kF64, batched}});
  uint32_t seed = 1000;
  for (const nn::Variable& weight : layer.trainable_weights()) {
    weight.assign(random_tensor(weight.shape(), ++seed));
    options.variables.push_back(weight.shared());
  }
  options.batched = {0};
  check_gradients([&](std::span<const Value> in) { return layer(in[0], {.training = training}); },
                  {random_tensor(shape, 1)}, options);
}

}  // namespace cohort::testing
