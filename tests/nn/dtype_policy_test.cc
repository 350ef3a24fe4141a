// What a policy means to layers, beyond what Keras recorded (mixed_precision_golden_test.cc).
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/nn/support.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_invalid;

/// Sets the thread's policy while it lives.
class PolicyScope {
 public:
  explicit PolicyScope(const DTypePolicy& policy) { set_dtype_policy(policy); }
  ~PolicyScope() { set_dtype_policy(before_); }
  PolicyScope(const PolicyScope&) = delete;
  PolicyScope& operator=(const PolicyScope&) = delete;

 private:
  const DTypePolicy before_ = dtype_policy();
};

TEST(DTypePolicyTest, NamesAreKeras) {
  for (const char* name :
       {"float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
    EXPECT_EQ(DTypePolicy(name).name(), name);
  const DTypePolicy mixed = "mixed_float16";
  EXPECT_EQ(mixed.compute_dtype(), DType::kF16);
  EXPECT_EQ(mixed.variable_dtype(), DType::kF32);
  EXPECT_EQ(DTypePolicy(DType::kF64).variable_dtype(), DType::kF64);
  expect_invalid({"dtype policy", "\"mixed_float32\"", "mixed_bfloat16"},
                 [] { DTypePolicy("mixed_float32"); });
  expect_invalid({"dtype policy", "int32", "floating"}, [] { (void)DTypePolicy(DType::kI32); });
}

TEST(DTypePolicyTest, ThePolicyOfTheThreadIsThatOfLayersMadeLater) {
  const Layer before = Dense{.units = 2};
  {
    const PolicyScope scope("mixed_bfloat16");
    EXPECT_EQ(before->dtype_policy(), "float32");
    const Layer now = Dense{.units = 2};
    EXPECT_EQ(now->dtype_policy(), "mixed_bfloat16");
    EXPECT_EQ(Layer(Dense{.units = 2, .dtype = DType::kF64})->dtype_policy(), "float64");
    EXPECT_EQ(Sequential().impl().dtype_policy(), "mixed_bfloat16");
    set_random_seed(1);
    EXPECT_EQ(dtype_policy(), "mixed_bfloat16");
    clear_session();
    EXPECT_EQ(dtype_policy(), "float32");
  }
  EXPECT_EQ(dtype_policy(), "float32");
}

/// y = x * w + u, where u is read as it is; and what types its call saw.
class Inside : public LayerImpl {
 public:
  explicit Inside(LayerOptions options) : LayerImpl("Inside", std::move(options)) {}
  void build(std::span<const TensorType>) override {
    w_ = add_weight("w", {.shape = {2}, .initializer = "ones"});
    u_ = add_weight("u", {.shape = {2}, .initializer = "ones", .autocast = false});
  }
  std::vector<Value> call(const CallArgs& args) override {
    seen = {args.input().dtype(), w_.read().dtype(), u_.read().dtype()};
    return {args.input()};
  }
  std::vector<DType> seen;

 private:
  Variable w_, u_;
};

class Outside : public LayerImpl {
 public:
  Outside(LayerOptions options, const Layer& inner)
      : LayerImpl("Outside", std::move(options)), inner_(child("inner", inner)) {}
  std::vector<Value> call(const CallArgs& args) override { return {inner_(args.input())}; }

 private:
  Layer inner_;
};

std::vector<DType> seen_inside(LayerOptions inner, std::optional<LayerOptions> outer) {
  const auto inside = std::make_shared<Inside>(std::move(inner));
  const Layer layer = outer ? make<Outside>(*outer, Layer(inside)) : Layer(inside);
  layer.build({{DType::kF32, {batch_dim(), 2}}});
  return inside->seen;
}

TEST(DTypePolicyTest, ScopesOfLayersInsideOthersAreKeras) {
  using Seen = std::vector<DType>;
  const DType f32 = DType::kF32, f16 = DType::kF16, bf16 = DType::kBF16;
  EXPECT_EQ(seen_inside({}, {}), (Seen{f32, f32, f32}));
  EXPECT_EQ(seen_inside({.dtype = "mixed_float16"}, {}), (Seen{f16, f16, f32}));
  EXPECT_EQ(seen_inside({}, LayerOptions{.dtype = "mixed_float16"}), (Seen{f32, f32, f32}));
  EXPECT_EQ(seen_inside({.dtype = "mixed_bfloat16"}, LayerOptions{.dtype = "mixed_float16"}),
            (Seen{bf16, bf16, f32}));
  EXPECT_EQ(seen_inside({.dtype = "mixed_bfloat16", .autocast = false},
                        LayerOptions{.dtype = "mixed_float16"}),
            (Seen{f16, f32, f32}));
}

/// A model that computes with a weight of its own.
class Scaled : public ModelImpl {
 public:
  Scaled() : ModelImpl("Scaled") {}
  void build(std::span<const TensorType>) override {
    factor_ = add_weight("factor", {.shape = {3}, .initializer = "ones"});
  }
  std::vector<Value> call(const CallArgs& args) override {
    return {dense_(args.input() * factor_)};
  }

 private:
  Layer dense_ = child("dense", Dense{.units = 2});
  Variable factor_;
};

TEST(DTypePolicyTest, AModelOfOnesOwnComputesInItsPolicy) {
  const PolicyScope scope("mixed_bfloat16");
  const Model model = make<Scaled>();
  model.compile({.optimizer = SGD{.learning_rate = 0.1}, .loss = "mse"});
  Tensor x = Tensor::full(DType::kF32, {4, 3}, 1), y = Tensor::full(DType::kF32, {4, 2}, 2);
  const double first = model.train_on_batch(x, y)["loss"];
  for (int i = 0; i < 10; ++i) model.train_on_batch(x, y);
  EXPECT_LT(model.test_on_batch(x, y)["loss"], first / 2);
  EXPECT_EQ(model.predict(x, {.verbose = 0}).dtype(), DType::kBF16);
  for (const Variable& weight : model.weights()) EXPECT_EQ(weight.dtype(), DType::kF32);
}

// 4096 rows of 1 + 1/256 are a sum of 4112; in bfloat16 a sum of ones ends at 256.
TEST(DTypePolicyTest, LossesMetricsAndPenaltiesAreOfFloat32) {
  const PolicyScope scope("mixed_bfloat16");
  const Tensor x = Tensor::full(DType::kF32, {4096, 1}, 1.0),
               y = Tensor::full(DType::kF32, {4096, 1}, 0);
  const Sequential model({Input({.shape = {1}}), Dense{.units = 1,
                                                       .use_bias = false,
                                                       .kernel_initializer = "ones",
                                                       .activity_regularizer = "l1"}});
  model.compile({.optimizer = SGD{}, .loss = "mse", .metrics = {"mae", "mse"}});
  const Logs logs = model.evaluate(x, y, {.batch_size = 4096, .verbose = 0});
  EXPECT_NEAR(logs["mae"], 1, 1e-6);
  EXPECT_NEAR(logs["mse"], 1, 1e-6);
  EXPECT_NEAR(logs["loss"], 1 + 0.01, 1e-6);
}

TEST(DTypePolicyTest, NumbersOfRowsAreNotRounded) {
  const PolicyScope scope("mixed_bfloat16");
  const Layer layer = Embedding{.input_dim = 1000, .output_dim = 1};
  layer.build({{DType::kF32, {2}}});
  Tensor table(DType::kF32, {1000, 1});
  for (int i = 0; i < 1000; ++i) table.data<float>()[i] = static_cast<float>(i % 128);
  layer.set_weights({table});
  const auto y = run([&](std::span<const Value> in) { return std::vector{layer(in[0])}; },
                     {Tensor::from(std::vector<float>{513, 999}, Shape{2})});
  EXPECT_EQ(numbers(y[0]), (std::vector<double>{1, 103}));
}

TEST(DTypePolicyTest, PureNarrowPoliciesKeepStatisticsOfBatchesInFloat32) {
  const Layer layer = BatchNormalization{.dtype = "float16"};
  layer.build({{DType::kF16, {8, 2}}});
  // Squares of 300 are no float16.
  Tensor x(DType::kF32, {8, 2});
  for (int i = 0; i < 16; ++i) x.data<float>()[i] = i % 4 < 2 ? 300.f : -300.f;
  const auto y =
      run([&](std::span<const Value> in) { return std::vector{layer(in[0], {.training = true})}; },
          {x.cast(DType::kF16)});
  EXPECT_EQ(y[0].dtype(), DType::kF16);
  for (const double value : numbers(y[0])) EXPECT_NEAR(std::abs(value), 1, 2e-3);
}

std::vector<Tensor> trained_in(int devices, int replicas, distribute::Sharding sharding,
                               const char* policy) {
  const PolicyScope scope(policy);
  set_random_seed(5);
  distribute::MirroredOptions options{
      .num_replicas = replicas, .bytes_per_pack = 300, .sharding = sharding};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  const Model model = distribute::MirroredStrategy(options).scope([] {
    const Model made = Sequential(
        {Input({.shape = {6, 6, 1}}), Conv2D{.filters = 4, .kernel_size = 3, .activation = "relu"},
         BatchNormalization(), MaxPooling2D(), Flatten(), Dropout{.rate = 0.2}, Dense{.units = 3}});
    made.compile({.optimizer = Adam{.learning_rate = 0.01},
                  .loss = SparseCategoricalCrossentropy{.from_logits = true},
                  .metrics = {"accuracy"}});
    return made;
  });
  Tensor x(DType::kF32, {20, 6, 6, 1}), y(DType::kI32, {20});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(std::sin(1.7 * static_cast<double>(i)));
  for (int64_t i = 0; i < 20; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 3);
  model.fit(x, y, {.batch_size = 8, .epochs = 2, .verbose = 0, .shuffle = false});
  return model.get_weights();
}

TEST(DTypePolicyTest, DevicesThatCarryTheSameReplicasHaveTheSameBits) {
  for (const char* policy : {"mixed_bfloat16", "mixed_float16"}) {
    const std::vector<Tensor> one = trained_in(1, 4, distribute::Sharding::kNone, policy);
    for (const auto& [devices, sharding] :
         {std::pair(2, distribute::Sharding::kNone), std::pair(4, distribute::Sharding::kZero1)}) {
      const std::vector<Tensor> many = trained_in(devices, 4, sharding, policy);
      for (size_t i = 0; i < one.size(); ++i)
        EXPECT_TRUE(bitwise_equal(many[i], one[i])) << policy << " " << devices << " " << i;
    }
  }
}

}  // namespace
}  // namespace cohort::nn
