// A project outside the tree with an op, a layer, a loss, a metric, an optimizer and a callback of
// its own: learns y = 2 x^3. It has headers with names that the library uses too.
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

/// How many rows are predicted within a distance, and how far off the others are on the whole.
class CloseImpl : public nn::MetricImpl {
 public:
  explicit CloseImpl(double distance) : MetricImpl("close"), distance_(distance) {
    add_state("hits", {}, cohort::DType::kI64);
    add_state("excess");
  }
  std::vector<Value> contributions(const nn::MetricArgs& args) const override {
    const Value excess = cohort::ops::abs(args.y_true - args.y_pred) - distance_;
    const Value hit = cohort::ops::logical_not(
        cohort::ops::cast(cohort::ops::relu(excess), cohort::DType::kBool));
    return {cohort::ops::reduce_sum(cohort::ops::cast(hit, cohort::DType::kI32)),
            cohort::ops::reduce_sum(cohort::ops::relu(excess))};
  }
  Value result(std::span<const Value> states) const override {
    const Value hits = cohort::ops::cast(states[0], cohort::DType::kF64);
    return cohort::ops::concat(
        {cohort::ops::reshape(hits, {1}), cohort::ops::reshape(states[1], {1})}, 0);
  }
  std::vector<std::string> result_names(int64_t) const override { return {"hits", "excess"}; }

 private:
  double distance_;
};

/// Steps of one length along each gradient's sign.
class SignDescentImpl : public nn::OptimizerImpl {
 public:
  explicit SignDescentImpl(double learning_rate)
      : OptimizerImpl({.learning_rate = learning_rate, .name = "sign_descent"}) {}

 protected:
  void update(const Group& group) override {
    for (size_t i = 0; i < group.variables.size(); ++i) {
      const Value step = cohort::ops::sign(group.gradients[i]) * group.learning_rate;
      cohort::ops::assign_sub(group.variables[i].shared(),
                              cohort::ops::where(group.apply, step, cohort::ops::zeros_like(step)));
    }
  }
};

class EpochCounter : public nn::CallbackImpl {
 public:
  void on_epoch_end(int64_t, const nn::Logs& logs) override {
    ++epochs;
    last_loss = logs["loss"];
    hits = logs["hits"];
  }
  int epochs = 0;
  double last_loss = -1, hits = -1;
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
  model.compile({.optimizer = nn::Adam({.learning_rate = 0.05}),
                 .loss = nn::make<AbsoluteErrorImpl>(),
                 .metrics = {nn::make<CloseImpl>(0.2)}});
  model.fit(x, y,
            {.batch_size = 16, .epochs = 30, .verbose = 0, .callbacks = {nn::Callback(counter)}});
  const float factor = cubic.get_weights()[0].values<float>()[0];
  passed &= expect(std::abs(factor - 2) < 0.1, "the layer learns its factor");
  passed &= expect(counter->epochs == 30, "the callback sees every epoch");
  passed &= expect(counter->last_loss < 0.05, "and the loss");
  passed &= expect(counter->hits == kRows, "the metric counts");
  model.compile({.optimizer = nn::make<SignDescentImpl>(0.5), .loss = "mse"});
  cubic.set_weights({Tensor::from<float>({3})});
  model.fit(x, y, {.batch_size = kRows, .epochs = 1, .verbose = 0});
  passed &= expect(cubic.get_weights()[0].values<float>()[0] == 2.5f, "the optimizer steps");
  return passed ? 0 : 1;
}
