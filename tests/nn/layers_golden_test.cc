// Layers' values and gradients against those that Keras computed in double precision.
#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

Size2D size(const Golden& golden, const std::string& name) {
  const auto numbers = golden.values<int64_t>(name);
  return {numbers.at(0), numbers.at(1)};
}

/// Sets the recorded weights, runs the layer on the recorded inputs, and compares the output and
/// the gradients of sum(y * dy).
void check(const Golden& golden, const std::string& group, const Layer& layer) {
  std::vector<std::string> names;
  if (golden.has(group + "/x")) names = {"x"};
  for (int i = 0; golden.has(group + "/x" + std::to_string(i)); ++i)
    names.push_back("x" + std::to_string(i));
  std::vector<Tensor> arguments;
  std::vector<TensorType> types;
  for (const std::string& name : names) {
    arguments.push_back(golden[group + "/" + name]);
    types.push_back({DType::kF32, arguments.back().shape()});
  }
  layer.build(types);
  for (const Variable& weight : layer.weights()) weight.assign(golden[group + "/" + weight.name()]);
  arguments.push_back(golden[group + "/dy"]);

  const std::vector<Tensor> results = run(
      [&](std::span<const Value> in) {
        const std::vector<Value> x(in.begin(), in.end() - 1);
        const Value y = layer(x);
        std::vector<Value> wanted = x;
        for (const Variable& weight : layer.weights()) wanted.push_back(weight.read());
        std::vector<Value> outputs{y};
        for (const Gradient& g : cohort::gradients(ops::reduce_sum(y * in.back()), wanted))
          outputs.push_back(g.dense());
        return outputs;
      },
      arguments);
  for (const Variable& weight : layer.weights()) names.push_back(weight.name());
  expect_near(results[0], golden[group + "/y"], 2e-5, group + "/y");
  for (size_t i = 0; i < names.size(); ++i)
    expect_near(results[i + 1], golden[group + "/d" + names[i]], 5e-5, group + "/d" + names[i]);
}

TEST(LayersGoldenTest, Dense) {
  const Golden golden("layers");
  for (const std::string& name : golden.cases("dense")) {
    const std::string group = "dense/" + name;
    check(golden, group,
          Dense({.units = 6,
                 .activation = golden.text(group + "/activation"),
                 .use_bias = golden.has(group + "/bias")}));
  }
}

TEST(LayersGoldenTest, Conv2D) {
  const Golden golden("layers");
  for (const std::string& name : golden.cases("conv2d")) {
    const std::string group = "conv2d/" + name;
    const Shape kernel = golden[group + "/kernel"].shape();
    check(golden, group,
          Conv2D({.filters = kernel.size(3),
                  .kernel_size = {kernel.size(0), kernel.size(1)},
                  .strides = size(golden, group + "/strides"),
                  .padding = golden.text(group + "/padding"),
                  .dilation_rate = size(golden, group + "/dilation_rate"),
                  .groups = static_cast<int64_t>(golden.number(group + "/groups")),
                  .activation = golden.text(group + "/activation"),
                  .use_bias = golden.has(group + "/bias")}));
  }
}

TEST(LayersGoldenTest, Pooling) {
  const Golden golden("layers");
  for (const std::string kind : {"MaxPooling2D", "AveragePooling2D"}) {
    for (const std::string& name : golden.cases(kind)) {
      const std::string group = kind + "/" + name;
      const Size2D pool_size = size(golden, group + "/pool_size");
      const Size2D strides = size(golden, group + "/strides");
      const std::string padding = golden.text(group + "/padding");
      check(golden, group,
            kind == "MaxPooling2D" ? Layer(MaxPooling2D{pool_size, strides, padding})
                                   : AveragePooling2D{pool_size, strides, padding});
    }
  }
}

TEST(LayersGoldenTest, GlobalPooling) {
  const Golden golden("layers");
  for (const std::string kind : {"GlobalMaxPooling2D", "GlobalAveragePooling2D"}) {
    for (const std::string& name : golden.cases(kind)) {
      const bool keepdims = name == "keepdims";
      check(golden, kind + "/" + name,
            kind == "GlobalMaxPooling2D" ? Layer(GlobalMaxPooling2D{keepdims})
                                         : GlobalAveragePooling2D{keepdims});
    }
  }
}

TEST(LayersGoldenTest, ShapesAndMerging) {
  const Golden golden("layers");
  check(golden, "flatten/rank4", Flatten());
  check(golden, "flatten/rank2", Flatten());
  check(golden, "reshape/to_rank3", Reshape({.target_shape = {4, 3, 2}}));
  check(golden, "reshape/inferred", Reshape({.target_shape = {-1, 6}}));
  check(golden, "concatenate/axis-1", Concatenate({.axis = -1}));
  check(golden, "concatenate/axis1", Concatenate({.axis = 1}));
  check(golden, "add/two", Add());
  check(golden, "add/three", Add());
}

TEST(LayersGoldenTest, Activations) {
  const Golden golden("layers");
  for (const std::string& name : golden.cases("activation"))
    check(golden, "activation/" + name, Activation(name));
}

/// One training step of the layer; returns y and the gradients.
std::vector<Tensor> step(const Layer& layer, const Tensor& x, const Tensor& dy, bool training) {
  return run(
      [&](std::span<const Value> in) {
        const Value y = layer(in[0], {.training = training});
        std::vector<Value> wanted{in[0]};
        for (const Variable& weight : layer.trainable_weights()) wanted.push_back(weight.read());
        std::vector<Value> outputs{y};
        for (const Gradient& g : cohort::gradients(ops::reduce_sum(y * in[1]), wanted))
          outputs.push_back(g.dense());
        return outputs;
      },
      {x, dy});
}

void check_batch_normalization(bool synchronized) {
  const Golden golden("layers");
  for (const std::string& name : golden.cases("batch_normalization")) {
    const std::string group = "batch_normalization/" + name;
    const Layer layer =
        BatchNormalization{.axis = static_cast<int64_t>(golden.number(group + "/axis")),
                           .momentum = golden.number(group + "/momentum"),
                           .epsilon = golden.number(group + "/epsilon"),
                           .center = golden.number(group + "/center") != 0,
                           .scale = golden.number(group + "/scale") != 0,
                           .synchronized = synchronized};
    layer.build({{DType::kF32, golden[group + "/x0"].shape()}});
    std::vector<std::string> names{"x"};
    for (const Variable& weight : layer.trainable_weights()) {
      weight.assign(golden[group + "/" + weight.name()]);
      names.push_back(weight.name());
    }
    for (const std::string k : {"0", "1", "2"}) {
      const auto got = step(layer, golden[group + "/x" + k], golden[group + "/dy" + k], true);
      expect_near(got[0], golden[group + "/y" + k], 5e-5, group + "/y" + k);
      for (size_t i = 0; i < names.size(); ++i)
        expect_near(got[i + 1], golden[group + "/d" + names[i] + k], 2e-4, group + " d" + names[i]);
      const auto moving = layer.non_trainable_weights();
      expect_near(moving[0].value(), golden[group + "/moving_mean" + k], 1e-5, group + " mean");
      expect_near(moving[1].value(), golden[group + "/moving_variance" + k], 1e-5, group + " var");
    }
    const auto got = step(layer, golden[group + "/x_eval"], golden[group + "/dy_eval"], false);
    expect_near(got[0], golden[group + "/y_eval"], 5e-5, group + "/y_eval");
    expect_near(got[1], golden[group + "/dx_eval"], 5e-5, group + "/dx_eval");
  }
}

TEST(LayersGoldenTest, BatchNormalization) { check_batch_normalization(false); }
TEST(LayersGoldenTest, SynchronizedBatchNormalizationOnOneReplica) {
  check_batch_normalization(true);
}

}  // namespace
}  // namespace cohort::nn
