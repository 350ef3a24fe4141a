// What fit promises beyond the numbers: epochs, splits, seeds, freezing, strategies' independence.
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

Tensor ramp(Shape shape, double scale = 0.1) {
  Tensor tensor(DType::kF32, shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(std::sin(static_cast<double>(i)) * scale * 10);
  return tensor;
}

Tensor labels(int64_t rows, int64_t classes) {
  Tensor tensor(DType::kI32, {rows});
  for (int64_t i = 0; i < rows; ++i)
    tensor.data<int32_t>()[i] = static_cast<int32_t>((i * 7) % classes);
  return tensor;
}

Sequential small_classifier() {
  const Sequential model({Input({.shape = {6}}), Dense({.units = 8, .activation = "relu"}),
                          Dropout({.rate = 0.3}), Dense({.units = 3})});
  model.compile({.optimizer = Adam({.learning_rate = 0.01}),
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  return model;
}

TEST(TrainingTest, SeedsGiveTheSameBitsAgain) {
  const auto train = [](uint64_t seed) {
    set_random_seed(seed);
    const Sequential model = small_classifier();
    model.fit(ramp({37, 6}), labels(37, 3), {.batch_size = 8, .epochs = 3, .verbose = 0});
    return model.get_weights();
  };
  const auto a = train(5), b = train(5), c = train(6);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(bitwise_equal(a[i], b[i]));
  EXPECT_FALSE(bitwise_equal(a[0], c[0]));
}

TEST(TrainingTest, EpochsGoOnFromInitialEpoch) {
  set_random_seed(1);
  const Sequential whole = small_classifier();
  whole.fit(ramp({20, 6}), labels(20, 3), {.batch_size = 8, .epochs = 4, .verbose = 0});
  set_random_seed(1);
  const Sequential halves = small_classifier();
  halves.fit(ramp({20, 6}), labels(20, 3), {.batch_size = 8, .epochs = 2, .verbose = 0});
  const History rest = halves.fit(ramp({20, 6}), labels(20, 3),
                                  {.batch_size = 8, .epochs = 4, .verbose = 0, .initial_epoch = 2});
  EXPECT_EQ(rest.epoch(), (std::vector<int64_t>{2, 3}));
  for (size_t i = 0; i < 4; ++i)
    EXPECT_TRUE(bitwise_equal(whole.get_weights()[i], halves.get_weights()[i]));
}

TEST(TrainingTest, ValidationSplitTakesTheLastRows) {
  const Sequential model({Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})});
  model.set_weights({Tensor::from<float>({0}, {1, 1})});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  const Tensor x(DType::kF32, {10, 1});
  const Tensor y = Tensor::from<float>({1, 1, 1, 1, 1, 1, 1, 1, 3, 3}, {10, 1});
  const History history = model.fit(x, y, {.verbose = 0, .validation_split = 0.2});
  EXPECT_NEAR(history["loss"][0], 1, 1e-6);
  EXPECT_NEAR(history["val_loss"][0], 9, 1e-6);
}

TEST(TrainingTest, StepsPerEpochGoesOnWhereTheLastEpochEnded) {
  const Sequential model({Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})});
  model.set_weights({Tensor::from<float>({0}, {1, 1})});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  const Tensor y = Tensor::from<float>({1, 2, 3}, {3, 1});
  const auto dataset = data::Dataset::from_tensor_slices({Tensor(DType::kF32, {3, 1}), y}).batch(1);
  const History history = model.fit(dataset, {.epochs = 3, .verbose = 0, .steps_per_epoch = 2});
  EXPECT_EQ(history["loss"], (std::vector<double>{2.5, 5, 6.5}));  // 1,4 | 9,1 | 4,9
}

TEST(TrainingTest, FrozenLayersStay) {
  set_random_seed(1);
  const Sequential model(
      {Input({.shape = {6}}), Dense({.units = 4}), BatchNormalization(), Dense({.units = 3})});
  for (const Layer& layer : {model.layers()[0], model.layers()[1]}) layer.set_trainable(false);
  EXPECT_EQ(model.trainable_weights().size(), 2u);
  EXPECT_EQ(model.non_trainable_weights().size(), 6u);
  model.compile(
      {.optimizer = "adam", .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  const auto before = model.get_weights();
  model.fit(ramp({16, 6}), labels(16, 3), {.verbose = 0});
  const auto after = model.get_weights();
  for (size_t i = 0; i < 6; ++i) EXPECT_TRUE(bitwise_equal(before[i], after[i])) << i;
  EXPECT_FALSE(bitwise_equal(before[6], after[6]));

  model.set_trainable(true);
  model.compile(
      {.optimizer = "adam", .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  model.fit(ramp({16, 6}), labels(16, 3), {.verbose = 0});
  EXPECT_FALSE(bitwise_equal(before[0], model.get_weights()[0]));
  EXPECT_FALSE(bitwise_equal(before[4], model.get_weights()[4]));
}

TEST(TrainingTest, AFrozenModelFreezesWhatIsInIt) {
  const Sequential body({Input({.shape = {4}}), Dense({.units = 3, .kernel_regularizer = "l2"})},
                        {.trainable = false});
  const Sequential model({Input({.shape = {4}}), body, Dense({.units = 2})});
  EXPECT_EQ(body.trainable_weights().size(), 0u);
  EXPECT_EQ(body.non_trainable_weights().size(), 2u);
  EXPECT_EQ(model.trainable_weights().size(), 2u);
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  const Tensor x(DType::kF32, {2, 4}), y(DType::kF32, {2, 2});
  EXPECT_EQ(model.evaluate(x, y, {.verbose = 0})["loss"], 0);  // no penalty of the frozen kernel
}

TEST(TrainingTest, LearningRateAndIterationsAreVariables) {
  const Sequential model({Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})});
  model.set_weights({Tensor::from<float>({1}, {1, 1})});
  const Optimizer sgd = SGD({.learning_rate = 0.1});
  model.compile({.optimizer = sgd, .loss = "mse"});
  const Tensor x = Tensor::from<float>({1, 1}, {2, 1}), y(DType::kF32, {2, 1});
  model.train_on_batch(x, y);
  EXPECT_NEAR(model.get_weights()[0].item<double>(), 0.8, 1e-6);
  sgd.set_learning_rate(0.25);
  model.train_on_batch(x, y);
  EXPECT_NEAR(model.get_weights()[0].item<double>(), 0.4, 1e-6);
  EXPECT_EQ(sgd.iterations(), 2);
}

TEST(TrainingTest, RegularizersAddToTheLoss) {
  const Sequential model({Input({.shape = {1}}),
                          Dense({.units = 2,
                                 .use_bias = false,
                                 .kernel_regularizer = regularizers::L1L2({.l1 = 0.5, .l2 = 0.25}),
                                 .activity_regularizer = regularizers::L1({.l1 = 0.1})})});
  model.set_weights({Tensor::from<float>({2, -4}, {1, 2})});
  model.compile({.optimizer = SGD({.learning_rate = 0}), .loss = "mse"});
  const Tensor x = Tensor::from<float>({1, 1}, {2, 1});
  const Tensor y = Tensor::from<float>({2, -4, 2, -4}, {2, 2});
  const Logs logs = model.evaluate(x, y, {.verbose = 0});
  EXPECT_NEAR(logs["loss"], 0.5 * 6 + 0.25 * 20 + 0.1 * 12 / 2, 1e-5);
}

TEST(TrainingTest, BytesAndDoublesAreTakenAsFloats) {
  const Sequential model({Input({.shape = {2}}), Rescaling({.scale = 0.5}), Dense({.units = 1})});
  const Tensor bytes = Tensor::from<uint8_t>({2, 4}, {1, 2});
  EXPECT_TRUE(bitwise_equal(model(bytes), model(bytes.cast(DType::kF64))));
  EXPECT_EQ(model(bytes).dtype(), DType::kF32);
}

// --- the three ways to describe a model --------------------------------------------------------

class Doubled : public LayerImpl {
 public:
  Doubled() : LayerImpl("Doubled") {}
  void build(std::span<const TensorType> inputs) override {
    scale_ = add_weight("scale", {.shape = {inputs[0].shape[1]}, .initializer = "ones"});
  }
  std::vector<Value> call(const CallArgs& args) override { return {args.input() * scale_ * 2.0}; }

 private:
  Variable scale_;
};

class Classifier : public ModelImpl {
 public:
  Classifier() : ModelImpl("Classifier") {}
  std::vector<Value> call(const CallArgs& args) override {
    seen_training = args.training;
    return {head_(doubled_(body_(args.input())))};
  }
  bool seen_training = false;

 private:
  Layer body_ = child("body", Dense({.units = 4, .activation = "relu"}));
  Layer doubled_ = child("doubled", make<Doubled>());
  Layer head_ = child("head", Dense({.units = 3}));
};

TEST(ModelsTest, SubclassedModelTrainsAndItsChildrenNameThePaths) {
  clear_session();
  const Model model = make<Classifier>();
  model.compile({.optimizer = "sgd", .loss = SparseCategoricalCrossentropy({.from_logits = true})});
  const History history = model.fit(ramp({16, 6}), labels(16, 3), {.epochs = 30, .verbose = 0});
  EXPECT_LT(history["loss"].back(), history["loss"].front());
  std::vector<std::string> paths;
  for (const Variable& weight : model.weights()) paths.push_back(weight.path());
  EXPECT_EQ(paths, (std::vector<std::string>{"classifier/body/kernel", "classifier/body/bias",
                                             "classifier/doubled/scale", "classifier/head/kernel",
                                             "classifier/head/bias"}));
}

TEST(ModelsTest, NamesAreCountedAsInKeras) {
  clear_session();
  const Sequential model(
      {Input({.shape = {4}}), Dense({.units = 2}), Dense({.units = 2}), BatchNormalization()});
  EXPECT_EQ(model.name(), "sequential");
  EXPECT_EQ(model.layers()[1].name(), "dense_1");
  EXPECT_EQ(model.weights()[2].path(), "sequential/dense_1/kernel");
  EXPECT_EQ(Sequential().name(), "sequential_1");
  EXPECT_EQ(Layer(GlobalAveragePooling2D{}).name(), "global_average_pooling2d");
  EXPECT_EQ(Layer(MaxPooling2D{}).name(), "max_pooling2d");
}

TEST(ModelsTest, SharedLayersHaveOneSetOfWeights) {
  const auto a = Input({.shape = {3}}), b = Input({.shape = {3}});
  const Layer shared = Dense{.units = 2, .use_bias = false};
  const Model model({.inputs = {a, b}, .outputs = {Add()({shared(a), shared(b)})}});
  EXPECT_EQ(model.weights().size(), 1u);
  model.set_weights({Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2})});
  const Tensor x = Tensor::from<float>({1, 0, 0}, {1, 3}),
               y = Tensor::from<float>({0, 0, 1}, {1, 3});
  const auto sum = model.predict_all({x, y}, {.verbose = 0});
  EXPECT_EQ(numbers(sum[0]), (std::vector<double>{6, 8}));
}

TEST(ModelsTest, NestedModelsAndHandlesShareWeights) {
  const Sequential inner({Input({.shape = {3}}), Dense({.units = 2})});
  const auto x = Input({.shape = {3}});
  const Model outer({.inputs = {x}, .outputs = {Dense({.units = 1})(inner(x))}});
  EXPECT_EQ(outer.weights().size(), 4u);
  const Model copy = outer;
  copy.set_weights({ramp({3, 2}), ramp({2}), ramp({2, 1}), ramp({1})});
  EXPECT_TRUE(bitwise_equal(inner.get_weights()[0], ramp({3, 2})));
}

TEST(ModelsTest, SequentialGrowsAndShrinks) {
  const Sequential model;
  model.add(Input({.shape = {3}}));
  model.add(Dense({.units = 5}));
  EXPECT_EQ(model.count_params(), 20);
  model.add(Dense({.units = 2}));
  EXPECT_EQ(model.count_params(), 32);
  model.pop();
  EXPECT_EQ(model(ramp({4, 3})).shape(), (Shape{4, 5}));
}

TEST(ModelsTest, TrainingIsPassedDown) {
  const Sequential inner({Dropout({.rate = 0.5})});
  const Sequential model({inner});
  const Tensor x = Tensor::full(DType::kF32, {64, 8}, 1);
  EXPECT_TRUE(bitwise_equal(model(x), x));
  const auto trained = run(
      [&](std::span<const Value> in) {
        return std::vector<Value>{model(in[0], {.training = true})};
      },
      {x});
  EXPECT_FALSE(bitwise_equal(trained[0], x));
}

TEST(ModelsTest, OwnLossAndMetricTrain) {
  struct Largest : MetricImpl {
    Largest() : MetricImpl("sum_of_squares") { add_state("sum"); }
    std::vector<Value> contributions(const MetricArgs& args) const override {
      return {ops::reduce_sum(ops::square(args.y_pred))};
    }
    Value result(std::span<const Value> states) const override { return states[0]; }
  };
  const Sequential model({Input({.shape = {1}}), Dense({.units = 1, .use_bias = false})});
  model.set_weights({Tensor::from<float>({3}, {1, 1})});
  const auto absolute = [](Value y_true, Value y_pred) {
    return ops::squeeze(ops::abs(y_true - y_pred), -1);
  };
  model.compile(
      {.optimizer = SGD({.learning_rate = 0.5}), .loss = absolute, .metrics = {make<Largest>()}});
  const Tensor x = Tensor::from<float>({1, 1}, {2, 1}), y(DType::kF32, {2, 1});
  const Logs logs = model.train_on_batch(x, y);
  EXPECT_NEAR(logs["loss"], 3, 1e-6);
  EXPECT_NEAR(logs["sum_of_squares"], 18, 1e-5);
  EXPECT_NEAR(model.get_weights()[0].item<double>(), 2.5, 1e-6);
}

}  // namespace
}  // namespace cohort::nn
