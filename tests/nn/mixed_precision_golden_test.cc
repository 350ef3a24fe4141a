// Layers, steps and loss scales under mixed policies against those of Keras.
#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/loss_scale.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

Layer layer_of(const std::string& name, const DTypePolicy& policy) {
  using Make = Layer (*)(const DTypePolicy&);
  static const std::map<std::string, Make> kLayers{
      {"dense", [](const DTypePolicy& p) -> Layer { return Dense{.units = 4, .dtype = p}; }},
      {"dense_relu",
       [](const DTypePolicy& p) -> Layer {
         return Dense{.units = 4, .activation = "relu", .dtype = p};
       }},
      {"dense_softmax",
       [](const DTypePolicy& p) -> Layer {
         return Dense{.units = 4, .activation = "softmax", .dtype = p};
       }},
      {"dense_float32",
       [](const DTypePolicy&) -> Layer { return Dense{.units = 4, .dtype = "float32"}; }},
      {"conv",
       [](const DTypePolicy& p) -> Layer {
         return Conv2D{.filters = 3, .kernel_size = 2, .padding = "same", .dtype = p};
       }},
      {"conv_groups",
       [](const DTypePolicy& p) -> Layer {
         return Conv2D{.filters = 4, .kernel_size = 2, .strides = 2, .groups = 2, .dtype = p};
       }},
      {"max_pooling", [](const DTypePolicy& p) -> Layer { return MaxPooling2D{.dtype = p}; }},
      {"average_pooling",
       [](const DTypePolicy& p) -> Layer { return AveragePooling2D{.dtype = p}; }},
      {"global_average",
       [](const DTypePolicy& p) -> Layer { return GlobalAveragePooling2D{.dtype = p}; }},
      {"global_max", [](const DTypePolicy& p) -> Layer { return GlobalMaxPooling2D{.dtype = p}; }},
      {"normalization",
       [](const DTypePolicy& p) -> Layer { return BatchNormalization{.dtype = p}; }},
      {"normalization_inference",
       [](const DTypePolicy& p) -> Layer { return BatchNormalization{.dtype = p}; }},
      {"normalization_axis",
       [](const DTypePolicy& p) -> Layer { return BatchNormalization{.axis = 1, .dtype = p}; }},
      {"softmax",
       [](const DTypePolicy& p) -> Layer {
         return Activation{.activation = "softmax", .dtype = p};
       }},
      {"sigmoid",
       [](const DTypePolicy& p) -> Layer {
         return Activation{.activation = "sigmoid", .dtype = p};
       }},
      {"tanh",
       [](const DTypePolicy& p) -> Layer { return Activation{.activation = "tanh", .dtype = p}; }},
      {"rescaling",
       [](const DTypePolicy& p) -> Layer {
         return Rescaling{.scale = 1 / 255.0, .offset = -0.5, .dtype = p};
       }},
      {"dropout", [](const DTypePolicy& p) -> Layer { return Dropout{.rate = 0.5, .dtype = p}; }},
      {"flatten", [](const DTypePolicy& p) -> Layer { return Flatten{.dtype = p}; }},
      {"embedding",
       [](const DTypePolicy& p) -> Layer {
         return Embedding{.input_dim = 7, .output_dim = 4, .dtype = p};
       }},
  };
  const auto found = kLayers.find(name);
  if (found == kLayers.end())
    throw InvalidArgument("{}: got a case of no layer; want one that this test makes", name);
  return found->second(policy);
}

/// Of a number of that dtype: from 1 to the next one.
double unit(DType dtype) {
  return dtype == DType::kBF16 ? 0x1p-7 : dtype == DType::kF16 ? 0x1p-10 : 1e-6;
}

class MixedPrecisionGoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  const Golden golden_{"mixed_precision"};
  const DTypePolicy policy_ = GetParam();

  std::string group(const std::string& of, const std::string& name = "") const {
    return of + "/" + GetParam() + (name.empty() ? "" : "/" + name);
  }

  void check(const std::string& name);
};

INSTANTIATE_TEST_SUITE_P(Policies, MixedPrecisionGoldenTest,
                         ::testing::Values("mixed_bfloat16", "mixed_float16"));

void MixedPrecisionGoldenTest::check(const std::string& name) {
  const std::string at = group("layers", name);
  const Layer layer = layer_of(name, policy_);
  const Tensor x = golden_[at + "/x"];
  layer.build({{x.dtype(), x.shape()}});
  const std::vector<Variable> weights = layer.weights();
  for (size_t i = 0; i < weights.size(); ++i) {
    EXPECT_EQ(weights[i].dtype(), DType::kF32) << at;
    weights[i].assign(golden_[at + "/weight" + std::to_string(i)]);
  }
  const bool has_gradients = golden_.has(at + "/dx"), training = golden_.has(at + "/after0");
  const std::vector<Variable> trainable = layer.trainable_weights();
  std::vector<Tensor> arguments{x};
  if (has_gradients) arguments.push_back(golden_[at + "/w"]);
  const std::vector<Tensor> results = run(
      [&](std::span<const Value> in) {
        const Value y = layer(in[0], {.training = training});
        std::vector<Value> outputs{y};
        if (!has_gradients) return outputs;
        std::vector<Value> wanted{in[0]};
        for (const Variable& weight : trainable) wanted.push_back(weight.read());
        const Value loss = ops::reduce_sum(ops::cast(y, DType::kF32) * in[1]);
        for (const Gradient& gradient : cohort::gradients(loss, wanted))
          outputs.push_back(gradient.dense());
        return outputs;
      },
      arguments);
  EXPECT_EQ(dtype_name(results[0].dtype()), golden_.text(at + "/dtype")) << at;
  // TensorFlow rounds products before it adds a bias, and sums of gradients on their way: the
  // recorded gradients are up to three units from those of exact arithmetic.
  const double tolerance = 2 * unit(results[0].dtype());
  expect_near(results[0], golden_[at + "/y"], tolerance, at + "/y");
  for (size_t i = 1; i < results.size(); ++i) {
    const std::string which = i == 1 ? "/dx" : "/dweight" + std::to_string(i - 2);
    EXPECT_EQ(results[i].dtype(), DType::kF32) << at << which;
    expect_near(results[i], golden_[at + which], 2 * tolerance, at + which);
  }
  for (size_t i = 0; training && i < weights.size(); ++i)
    expect_near(weights[i].value(), golden_[at + "/after" + std::to_string(i)], 1e-5,
                at + "/after");
}

TEST_P(MixedPrecisionGoldenTest, Layers) {
  for (const std::string& name : golden_.cases(group("layers"))) check(name);
}

TEST_P(MixedPrecisionGoldenTest, FiveSteps) {
  const std::string at = group("training");
  set_dtype_policy(policy_);
  const Sequential model({Input({.shape = {5}}), Dense{.units = 6, .activation = "relu"},
                          BatchNormalization{.momentum = 0.9}, Dense{.units = 3}});
  set_dtype_policy("float32");
  const std::vector<Variable> weights = model.weights();
  const auto number = [](size_t i) { return std::to_string(i); };
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i].assign(golden_[at + "/weight" + number(i)]);
  model.compile({.optimizer = Adam{.learning_rate = 0.01},
                 .loss = SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
  EXPECT_EQ(model.optimizer()->loss_scale() != nullptr,
            golden_.text(at + "/optimizer") == "LossScaleOptimizer");
  const Tensor x = golden_[at + "/x"], y = golden_[at + "/y"];
  const double tolerance = unit(policy_.compute_dtype());
  for (const double loss : golden_.values<double>(at + "/loss"))
    EXPECT_NEAR(model.train_on_batch(x, y)["loss"], loss, tolerance * 2);
  // Five steps of 0.01, whichever way Adam went: gradients of 16 bits tell it where they are not 0.
  for (size_t i = 0; i < weights.size(); ++i)
    expect_near(weights[i].value(), golden_[at + "/after" + number(i)], 0.003,
                at + "/after" + number(i));
  const Tensor predictions = model.predict(x, {.verbose = 0});
  EXPECT_EQ(predictions.dtype(), policy_.compute_dtype());
  expect_near(predictions, golden_[at + "/predictions"], 4 * tolerance, at + "/predictions");
}

TEST(LossScaleGoldenTest, Steps) {
  const Golden golden("mixed_precision");
  for (const std::string& name : golden.cases("scale")) {
    const std::string at = "scale/" + name;
    LossScaleOptimizer options{.inner_optimizer = Adam{.learning_rate = 0.1}};
    if (golden.has(at + "/initial_scale"))
      options.initial_scale = golden.number(at + "/initial_scale");
    if (golden.has(at + "/dynamic_growth_steps"))
      options.dynamic_growth_steps =
          static_cast<int64_t>(golden.number(at + "/dynamic_growth_steps"));
    const Optimizer optimizer = options;
    const Variable variable(golden[at + "/start"], "v");
    const auto [counter, scale] =
        std::pair(optimizer->loss_scale()->variables()[0], optimizer->loss_scale()->variables()[1]);
    const Function step([&](std::span<const Value> in) {
      const Value gradient = optimizer.scale_loss(in[0]) * in[1];
      optimizer.apply_gradients({{gradient, variable}});
      return std::vector<Value>();
    });
    const std::vector<float> factors = golden.values<float>(at + "/factors");
    for (size_t i = 0; i < factors.size(); ++i) {
      step(golden[at + "/gradient"], Tensor::scalar(factors[i]));
      EXPECT_EQ(scale.value().item<double>(), golden.values<double>(at + "/scales")[i]) << at << i;
      EXPECT_EQ(counter.value().item<int64_t>(), golden.values<int64_t>(at + "/counters")[i]) << at;
      EXPECT_EQ(optimizer.iterations(), golden.values<int64_t>(at + "/iterations")[i]) << at << i;
    }
    expect_near(variable.value(), golden[at + "/end"], 1e-5, at + "/end");
  }
}

}  // namespace
}  // namespace cohort::nn
