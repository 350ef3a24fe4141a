// Which masks layers make, pass on and drop, and what they do to statistics, losses and metrics: as
// Keras recorded.
#include <gmock/gmock.h>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/internal/masks.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::AllOf;
using testing::Golden;
using ::testing::HasSubstr;

distribute::Strategy replicas(int count) {
  std::vector<std::string> devices;
  for (int i = 0; i < count; ++i) devices.push_back("cpu:" + std::to_string(i));
  return distribute::MirroredStrategy({.devices = devices});
}

Value both(Value a, Value b, const Layer& layer) {
  const Layer masking = Masking{};
  return layer({masking(a), masking(b)});
}

/// What the case `name` of layers makes of its inputs.
Value apply_case(const std::string& name, const std::vector<Value>& x, const Golden& golden) {
  const Layer masking = Masking{};
  const auto then = [&](const Layer& layer) { return layer(masking(x[0])); };
  if (name == "add") return both(x[0], x[1], Add{});
  if (name == "add_one_without") return Layer(Add{})({masking(x[0]), x[1]});
  if (name == "concatenate") return both(x[0], x[1], Concatenate{});
  if (name == "concatenate_steps") return both(x[0], x[1], Concatenate{.axis = 1});
  if (name == "concatenate_one_without")
    return Layer(Concatenate{.axis = 1})({masking(x[0]), x[1]});
  if (name == "masking") return masking(x[0]);
  if (name == "masking_value") {
    const double value = golden.values<double>("layers/masking_value/x")[15];
    return Layer(Masking{.mask_value = value})(ops::slice_axis(x[0], 2, 0, 1));
  }
  if (name == "dropout") return then(Dropout{.rate = 0.5});
  if (name == "activation") return then(Activation{.activation = "relu"});
  if (name == "rescaling") return then(Rescaling{.scale = 2, .offset = 1});
  if (name == "flatten") return then(Flatten{});
  if (name == "reshape") return then(Reshape{.target_shape = {3, 5}});
  if (name == "normalization") return then(BatchNormalization{});
  throw InvalidArgument("got case {}; want one of this list", name);
}

TEST(MasksGoldenTest, LayersMakePassAndDropMasks) {
  const Golden golden("masks");
  for (const std::string& name : golden.cases("layers")) {
    const std::string group = "layers/" + name + "/";
    std::vector<Tensor> inputs{golden[group + "x"]};
    if (golden.has(group + "x2")) inputs.push_back(golden[group + "x2"]);
    const Sequential embedded({Embedding{.input_dim = 6, .output_dim = 3, .mask_zero = true},
                               Dense{.units = 2, .activation = "tanh"}});
    if (name == "embedding") {
      embedded.build({{DType::kI32, {batch_dim(), 5}}});
      embedded.set_weights(
          {golden[group + "table"], golden[group + "kernel"], golden[group + "bias"]});
    }
    bool has_mask = false;
    const std::vector<Tensor> got = run(
        [&](std::span<const Value> in) -> std::vector<Value> {
          const std::vector<Value> x(in.begin(), in.end());
          const Value y = name == "embedding" ? embedded(x[0]) : apply_case(name, x, golden);
          const Value mask = internal::mask_of(y);
          has_mask = mask.defined();
          return has_mask ? std::vector{y, mask} : std::vector{y};
        },
        inputs);
    expect_near(got[0], golden[group + "y"], 1e-5, name);
    ASSERT_EQ(has_mask, golden.has(group + "mask")) << name;
    if (has_mask) {
      EXPECT_EQ(numbers(got[1]), numbers(golden[group + "mask"])) << name;
    }
  }
}

TEST(MasksGoldenTest, StatisticsOfABatchAreOfWhatCounts) {
  const Golden golden("masks");
  for (const bool synchronized : {false, true})
    for (const std::string& name : golden.cases("normalization")) {
      const std::string group = "normalization/" + name + "/";
      const Layer layer = BatchNormalization{
          .axis = name == "last" ? -1 : 1, .momentum = 0.5, .synchronized = synchronized};
      const Tensor x = golden[group + "x"];
      layer.build({{DType::kF32, {batch_dim(), 5, 3}}});
      std::vector<Tensor> weights = layer.get_weights();
      weights[0] = golden[group + "gamma"], weights[1] = golden[group + "beta"];
      layer.set_weights(weights);
      const std::vector<Tensor> y = run(
          [&](std::span<const Value> in) -> std::vector<Value> {
            return {layer(in[0], {.training = true, .mask = in[1]})};
          },
          {x, golden[group + "mask"]});
      expect_near(y[0], golden[group + "y"], 1e-4, name);
      expect_near(layer.weights()[2].value(), golden[group + "moving_mean"], 1e-5, name);
      expect_near(layer.weights()[3].value(), golden[group + "moving_variance"], 1e-5, name);
    }
}

class MaskedTrainingTest : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Replicas, MaskedTrainingTest, ::testing::Values(1, 2, 4));

/// The model of a case of `training`, with its weights.
Model embedding_and_dense(const Golden& golden, const std::string& group, bool nested) {
  const Layer embedding = Embedding{.input_dim = 6, .output_dim = 2, .mask_zero = true};
  const Layer dense = Dense{.units = 3};
  const auto x = Input({.shape = {5}, .dtype = DType::kI32});
  const auto made = [&] {
    if (!nested) return Model({.inputs = {x}, .outputs = {dense(embedding(x))}});
    const Model inner({.inputs = {x}, .outputs = {embedding(x)}});
    const auto outer = Input({.shape = {5}, .dtype = DType::kI32});
    return Model({.inputs = {outer}, .outputs = {dense(inner(outer))}});
  }();
  made.set_weights({golden[group + "table"], golden[group + "kernel"], golden[group + "bias"]});
  return made;
}

TEST_P(MaskedTrainingTest, LossesAndMetricsCountWhatTheMaskLeaves) {
  const Golden golden("masks");
  for (const std::string& name : golden.cases("training")) {
    const std::string group = "training/" + name + "/";
    std::string reduction = name;
    for (const char* ending : {"_weighted", "_nested"})
      if (reduction.ends_with(ending)) reduction.resize(reduction.size() - strlen(ending));
    // Each replica has its own accuracy of rows; that it counts what the mask leaves shows in one.
    const Model model = replicas(GetParam()).scope([&] {
      return embedding_and_dense(golden, group, name.ends_with("_nested"));
    });
    model.compile(
        {.optimizer = SGD({.learning_rate = 0.5}),
         .loss = SparseCategoricalCrossentropy{.from_logits = true, .reduction = reduction},
         .metrics = {"accuracy"},
         .weighted_metrics = {"sparse_categorical_crossentropy"}});
    const Tensor x = golden[group + "x"], y = golden[group + "y"];
    const Tensor weight =
        golden.has(group + "sample_weight") ? golden[group + "sample_weight"] : Tensor();
    EvaluateOptions options{.batch_size = x.size(0), .verbose = 0};
    if (weight.defined()) options.sample_weight = {weight};
    const Logs logs = model.evaluate(x, y, options);
    EXPECT_NEAR(logs["loss"], golden.number(group + "loss"), 2e-5) << name;
    EXPECT_NEAR(logs["accuracy"], golden.number(group + "accuracy"), 1e-6) << name;
    EXPECT_NEAR(logs["sparse_categorical_crossentropy"], golden.number(group + "weighted_metric"),
                2e-5)
        << name;
    for (int step = 0; step < 2; ++step) model.train_on_batch(x, y, {.sample_weight = weight});
    expect_near(model.get_weights()[0], golden[group + "table_after"], 2e-5, name);
    expect_near(model.get_weights()[1], golden[group + "kernel_after"], 2e-5, name);
    expect_near(model.get_weights()[2], golden[group + "bias_after"], 2e-5, name);
  }
}

TEST(MasksTest, AMaskOfAnotherShapeNamesTheLayer) {
  const Layer dense = Dense{.units = 2, .name = "head"};
  const auto x = Input({.shape = {5, 3}});
  EXPECT_THAT(error_of([&] { dense(x, {.mask = Input({.shape = {4}, .dtype = DType::kBool})}); }),
              AllOf(HasSubstr("head: got mask [N, 4] for [N, 5, 3]"), HasSubstr("first dim")));
  const Layer join = Concatenate{.name = "join"};
  const std::vector<SymbolicTensor> two{x, x};
  EXPECT_THAT(error_of([&] { join(two, {.mask = Input({.shape = {5}, .dtype = DType::kBool})}); }),
              HasSubstr("join: got a mask for 2 inputs"));
  const Layer norm = BatchNormalization{.name = "norm"};
  EXPECT_THAT(error_of([&] {
                run(
                    [&](std::span<const Value> in) -> std::vector<Value> {
                      return {norm(in[0], {.training = true, .mask = in[1]})};
                    },
                    {Tensor(DType::kF32, {2, 5, 3}), Tensor(DType::kBool, {2})});
              }),
              HasSubstr("norm: got mask [2] for [2, 5, 3]; want one dimension less"));
}

TEST(MasksTest, AGivenMaskGoesWhereTheInputsOwnWould) {
  const auto x = Input({.shape = {5, 3}});
  const auto mask = Input({.shape = {5}, .dtype = DType::kBool});
  const Model model(
      {.inputs = {x, mask},
       .outputs = {Dense{.units = 1, .kernel_initializer = "ones"}(Masking{}(x), {.mask = mask})}});
  bool given = false;
  run(
      [&](std::span<const Value> in) -> std::vector<Value> {
        const Value y = model({in[0], in[1]});
        given = internal::mask_of(y) == internal::mask_of(y) && internal::mask_of(y).defined();
        return {y, internal::mask_of(y)};
      },
      {Tensor(DType::kF32, {2, 5, 3}), Tensor(DType::kBool, {2, 5})});
  EXPECT_TRUE(given);
}

TEST(MasksTest, ALayerOfOnesOwnSeesTheMaskAndSaysWhetherItPasses) {
  struct Counting : LayerImpl {
    Counting() : LayerImpl("Counting") {}
    std::vector<Value> call(const CallArgs& args) override {
      seen = args.mask.defined();
      return {args.input() * 2.0};
    }
    bool supports_masking() const override { return passes; }
    bool seen = false, passes = true;
  };
  for (const bool passes : {true, false}) {
    const Layer layer = make<Counting>();
    auto& impl = static_cast<Counting&>(layer.impl());
    impl.passes = passes;
    bool has_mask = false;
    run(
        [&](std::span<const Value> in) -> std::vector<Value> {
          const Value y = layer(Layer(Masking{})(in[0]));
          has_mask = internal::mask_of(y).defined();
          return {y};
        },
        {Tensor(DType::kF32, {2, 5, 3})});
    EXPECT_TRUE(impl.seen);
    EXPECT_EQ(has_mask, passes);
  }
}

}  // namespace
}  // namespace cohort::nn
