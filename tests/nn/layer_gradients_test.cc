// Layers' gradients, of inputs and weights, against finite differences.
#include "tests/support/layer_gradients.h"

#include <gtest/gtest-spi.h>

#include "cohort/core/ops/math.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::check_layer_gradients;

TEST(LayerGradientsTest, Dense) {
  check_layer_gradients(Dense({.units = 3, .activation = "tanh", .dtype = DType::kF64}), {4, 5});
}

TEST(LayerGradientsTest, Conv2D) {
  check_layer_gradients(Conv2D({.filters = 2,
                                .kernel_size = 3,
                                .strides = 2,
                                .padding = "same",
                                .activation = "sigmoid",
                                .dtype = DType::kF64}),
                        {2, 5, 4, 3});
}

TEST(LayerGradientsTest, BatchNormalizationOfABatch) {
  check_layer_gradients(BatchNormalization({.dtype = DType::kF64}), {6, 3}, true, {.order = 1});
}

TEST(LayerGradientsTest, BatchNormalizationByMovingStatistics) {
  check_layer_gradients(BatchNormalization({.dtype = DType::kF64}), {6, 3});
}

/// y = w x, with a gradient that is not that of y.
class Wrong : public LayerImpl {
 public:
  Wrong() : LayerImpl("Wrong", {.dtype = DType::kF64}) {}
  void build(std::span<const TensorType> inputs) override {
    w_ = add_weight("w", {.shape = {inputs[0].shape[1]}});
  }
  std::vector<Value> call(const CallArgs& args) override {
    return {args.input() * w_ + ops::stop_gradient(args.input() * w_)};
  }

 private:
  Variable w_;
};

TEST(LayerGradientsTest, AWrongGradientOfAWeightIsFound) {
  ::testing::TestPartResultArray failures;
  {
    ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    check_layer_gradients(make<Wrong>(), {2, 3});
  }
  ASSERT_EQ(failures.size(), 1);
}

}  // namespace
}  // namespace cohort::nn
