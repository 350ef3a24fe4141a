// A project outside the tree with an op, a layer, a loss and a callback of its own: learns y = 2
// x^3. It has headers with names that the library uses too.
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/error.h"
#include "cube.h"
#include "data/dataset.h"
#include "nn/model.h"

namespace nn = cohort::nn;
using cohort::Tensor;
using cohort::TensorType;
using cohort::Value;

namespace {

/// y = factor * x^3, one factor for each of x's columns.
class CubicImpl : public nn::LayerImpl {
 public:
  CubicImpl() : LayerImpl("Cubic") {}
  void build(std::span<const TensorType> inputs) override {
    factor_ = add_weight("factor", {.shape = {inputs[0].shape[1]}, .initializer = "ones"});
  }
  std::vector<Value> call(const nn::CallArgs& args) override {
    return {outside::cube(args.input()) * factor_};
  }

 private:
  nn::Variable factor_;
};

/// |y_true - y_pred|, the mean over columns.
class AbsoluteErrorImpl : public nn::LossImpl {
 public:
  AbsoluteErrorImpl() : LossImpl("absolute_error", "sum_over_batch_size") {}
  Value call(Value y_true, Value y_pred) const override {
    return cohort::ops::reduce_mean(cohort::ops::abs(y_true - y_pred), {.axis = {-1}});
  }
};

class EpochCounter : public nn::CallbackImpl {
 public:
  void on_epoch_end(int64_t, const nn::Logs& logs) override {
    ++epochs;
    last_loss = logs["loss"];
  }
  int epochs = 0;
  double last_loss = -1;
};

bool expect(bool holds, const char* claim) {
  std::printf("%s: %s\n", claim, holds ? "yes" : "NO");
  return holds;
}

}  // namespace

int main() {
  for (const char* header : {outside::kErrorHeader, outside::kDatasetHeader, outside::kModelHeader})
    std::printf("a header of %s's own\n", header);
  outside::register_cube(cohort::default_runtime());
  bool passed = true;

  passed &= expect(cohort::version() == COHORT_VERSION, "the library is the one of the headers");
  passed &= expect(cohort::version() == PACKAGE_VERSION, "and of the package");

  const auto f = cohort::function([](Value x) {
    const Value y = outside::cube(x);
    return std::vector<Value>{y, cohort::gradients(y, {&x, 1})[0].dense()};
  });
  const std::vector<Tensor> result = f(Tensor::from<float>({1, 2, -3}));
  passed &= expect(result[0].values<float>()[2] == -27, "the op computes");
  passed &= expect(result[1].values<float>()[2] == 27, "its gradient too");

  constexpr int64_t kRows = 64;
  Tensor x(cohort::DType::kF32, {kRows, 1}), y(cohort::DType::kF32, {kRows, 1});
  for (int64_t i = 0; i < kRows; ++i) {
    const float value = static_cast<float>(i) / kRows * 2 - 1;
    x.data<float>()[i] = value;
    y.data<float>()[i] = 2 * value * value * value;
  }
  const auto counter = std::make_shared<EpochCounter>();
  const nn::Layer cubic = nn::make<CubicImpl>();
  nn::Sequential model({cubic});
  model.compile(
      {.optimizer = nn::Adam({.learning_rate = 0.05}), .loss = nn::make<AbsoluteErrorImpl>()});
  model.fit(x, y,
            {.batch_size = 16, .epochs = 30, .verbose = 0, .callbacks = {nn::Callback(counter)}});
  const float factor = cubic.get_weights()[0].values<float>()[0];
  passed &= expect(std::abs(factor - 2) < 0.1, "the layer learns its factor");
  passed &= expect(counter->epochs == 30, "the callback sees every epoch");
  passed &= expect(counter->last_loss < 0.05, "and the loss");
  return passed ? 0 : 1;
}
