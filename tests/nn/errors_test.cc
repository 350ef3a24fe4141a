// Bad input gets a clear error, where it was made.
#include <gmock/gmock.h>

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/matmul.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ErrorsTest : public ::testing::Test {
 protected:
  void SetUp() override { clear_session(); }
};

Tensor zeros(Shape shape, DType dtype = DType::kF32) { return Tensor(dtype, std::move(shape)); }

Sequential classifier() {
  const Sequential model({Dense({.units = 3, .activation = "relu"}), Dense({.units = 2})});
  model.compile({.optimizer = "sgd",
                 .loss = SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  return model;
}

TEST_F(ErrorsTest, LayersNameThemselvesAndSayWhatTheyGotAndWant) {
  const auto error = [](const Layer& layer, Shape shape) {
    return error_of([&] { layer(Input({.shape = std::move(shape)})); });
  };
  EXPECT_THAT(error(Conv2D({.filters = 2, .kernel_size = 3}), {8, 8}),
              AllOf(HasSubstr("conv2d"), HasSubstr("[N, 8, 8]"), HasSubstr("rank 4")));
  EXPECT_THAT(error(MaxPooling2D(), {8}), AllOf(HasSubstr("max_pooling2d"), HasSubstr("[N, 8]")));
  EXPECT_THAT(error(Dense({.units = 2}), {}), AllOf(HasSubstr("dense"), HasSubstr("[N]")));
  EXPECT_THAT(error(Reshape({.target_shape = {5}}), {6}),
              AllOf(HasSubstr("reshape"), HasSubstr("[N, 6]"), HasSubstr("[N, 5]")));
  EXPECT_THAT(error(BatchNormalization(), {}), HasSubstr("batch_normalization"));

  const Layer dense = Dense{.units = 2, .name = "head"};
  dense(Input({.shape = {4}}));
  EXPECT_THAT(error(dense, {5}),
              AllOf(HasSubstr("head: got input [N, 5]"), HasSubstr("last dimension of 4")));
  EXPECT_THAT(error(Conv2D({.filters = 2, .kernel_size = 9, .name = "big"}), {4, 4, 1}),
              HasSubstr("big"));
  const auto a = Input({.shape = {2}}), b = Input({.shape = {3}});
  EXPECT_THAT(error_of([&] {
                Add({.name = "sum"})({a, b});
              }),
              AllOf(HasSubstr("sum: got inputs [N, 2] and [N, 3]"), HasSubstr("row by row")));
  EXPECT_THAT(error_of([&] { Concatenate({.name = "join"})({a}); }),
              HasSubstr("join: got 1 input"));
}

TEST_F(ErrorsTest, OptionsOutOfRange) {
  EXPECT_THAT(error_of([] { Layer(Dense({.units = 0})); }), HasSubstr("dense: got units 0"));
  EXPECT_THAT(error_of([] { Layer(Dropout({.rate = 1.5})); }), HasSubstr("dropout: got rate 1.5"));
  EXPECT_THAT(error_of([] { Layer(Conv2D({.filters = 3, .kernel_size = 3, .groups = 2})); }),
              HasSubstr("groups 2"));
  EXPECT_THAT(error_of([] { Layer(Conv2D({.filters = 3, .kernel_size = 3, .padding = "full"})); }),
              AllOf(HasSubstr("full"), HasSubstr("valid, same")));
  EXPECT_THAT(error_of([] { Optimizer(Adam({.beta_1 = 1.0})); }), HasSubstr("beta_1 1"));
  EXPECT_THAT(error_of([] { Optimizer(SGD({.clipnorm = 1.0, .clipvalue = 1.0})); }),
              HasSubstr("more than one"));
  EXPECT_THAT(error_of([] { Optimizer(SGD({.gradient_accumulation_steps = 0})); }),
              HasSubstr("gradient_accumulation_steps 0"));
}

TEST_F(ErrorsTest, UnknownNamesListTheKnown) {
  EXPECT_THAT(error_of([] { Layer(Dense({.units = 1, .activation = "rellu"})); }),
              AllOf(HasSubstr("rellu"), HasSubstr("gelu"), HasSubstr("relu6")));
  EXPECT_THAT(error_of([] { Layer(Dense({.units = 1, .activation = "threshold"})); }),
              HasSubstr("two numbers"));
  EXPECT_THAT(error_of([] { Loss("msee"); }),
              AllOf(HasSubstr("msee"), HasSubstr("sparse_categorical_crossentropy")));
  EXPECT_THAT(error_of([] { Optimizer("adamm"); }), AllOf(HasSubstr("adamm"), HasSubstr("sgd")));
  EXPECT_THAT(error_of([] { make_metric("acurracy", {2}, {2}); }), HasSubstr("binary_accuracy"));
  EXPECT_THAT(error_of([] { Layer(Dense({.units = 1, .kernel_initializer = "glorot"})); }),
              HasSubstr("glorot_uniform"));
  EXPECT_THAT(error_of([] { Loss(MeanSquaredError({.reduction = "avg"})); }),
              HasSubstr("sum_over_batch_size"));
}

TEST_F(ErrorsTest, TrainingBeforeCompileAndEagerly) {
  const Sequential model({Dense({.units = 1})});
  EXPECT_THAT(error_of([&] {
                model.fit(zeros({4, 2}), zeros({4, 1}));
              }),
              AllOf(HasSubstr("sequential"), HasSubstr("fit() before compile()")));
  EXPECT_THAT(error_of([&] {
                model.evaluate(zeros({4, 2}), zeros({4, 1}));
              }),
              HasSubstr("evaluate() before compile()"));
  EXPECT_THAT(
      error_of([&] { model.compile({.optimizer = "sgd", .loss = "mse", .run_eagerly = true}); }),
      HasSubstr("run_eagerly"));
  model.compile({.optimizer = "sgd"});
  EXPECT_THAT(error_of([&] {
                model.fit(zeros({4, 2}), zeros({4, 1}), {.verbose = 0});
              }),
              HasSubstr("no loss"));
  model.compile({.loss = "mse"});
  EXPECT_THAT(error_of([&] {
                model.fit(zeros({4, 2}), zeros({4, 1}), {.verbose = 0});
              }),
              HasSubstr("no optimizer"));
}

TEST_F(ErrorsTest, ArgumentsOfFit) {
  const Sequential model = classifier();
  const Tensor x = zeros({4, 2}), y = zeros({4}, DType::kI32);
  const auto error = [&](FitOptions options) {
    return error_of([&] { model.fit(x, y, options); });
  };
  EXPECT_THAT(error({.batch_size = 0, .verbose = 0}), HasSubstr("batch_size 0"));
  EXPECT_THAT(error({.verbose = 0, .validation_split = 1.5}), HasSubstr("validation_split 1.5"));
  EXPECT_THAT(error({.verbose = 0, .validation_freq = 0}), HasSubstr("validation_freq 0"));
  EXPECT_THAT(error({.verbose = 0, .steps_per_epoch = 0}), HasSubstr("got 0"));
  EXPECT_THAT(error({.verbose = 0, .class_weight = {{0, 1.0}}, .sample_weight = {zeros({4})}}),
              HasSubstr("class_weight and sample_weight"));
  EXPECT_THAT(error_of([&] { FitOptions{.verbose = 3}; }), HasSubstr("verbose: got 3"));
  EXPECT_THAT(error_of([&] { model.fit(x, zeros({3}, DType::kI32), {.verbose = 0}); }),
              AllOf(HasSubstr("4"), HasSubstr("3")));
  const data::Dataset dataset = data::Dataset::from_tensor_slices({x, y});
  EXPECT_THAT(error_of([&] { model.fit(dataset.batch(2), {.batch_size = 2}); }),
              HasSubstr("with a dataset"));
  EXPECT_THAT(error_of([&] { model.fit(dataset, {.verbose = 0}); }), HasSubstr("batch()"));
  EXPECT_THAT(error_of([&] { model.fit(dataset.take(0).batch(2), {.verbose = 0}); }),
              HasSubstr("without a batch"));
  EXPECT_THAT(error_of([&] { model.fit(dataset.repeat().batch(2), {.verbose = 0}); }),
              HasSubstr("endless"));
}

TEST_F(ErrorsTest, LabelsOutsideTheClassesNameLabelAndClasses) {
  const Sequential model = classifier();
  const std::string error = error_of([&] {
    model.fit(zeros({4, 2}), Tensor::from<int32_t>({0, 1, 7, 0}), {.verbose = 0, .shuffle = false});
  });
  EXPECT_THAT(error, AllOf(HasSubstr("7"), HasSubstr("2")));
}

/// The places of "a: b: got …".
std::vector<std::string> places_of(const std::string& error) {
  std::vector<std::string> places;
  size_t begin = 0;
  for (size_t end; (end = error.find(": ", begin)) != std::string::npos; begin = end + 2)
    places.push_back(error.substr(begin, end - begin));
  return places;
}

void expect_each_place_once(const std::string& error) {
  std::vector<std::string> places = places_of(error);
  ASSERT_FALSE(places.empty()) << error;
  std::sort(places.begin(), places.end());
  EXPECT_EQ(std::adjacent_find(places.begin(), places.end()), places.end()) << error;
}

TEST_F(ErrorsTest, AnErrorSaysEachPlaceOnceHoweverTheModelIsCalled) {
  struct Squares : LayerImpl {
    Squares() : LayerImpl("Squares", {}) {}
    std::vector<Value> call(const CallArgs& args) override {
      return {ops::matmul(args.input(), args.input())};
    }
  };
  const auto compiled = [](const Model& model, const Loss& loss) {
    model.compile({.optimizer = "sgd", .loss = loss});
    return model;
  };
  const Sequential embedding({Embedding({.input_dim = 3, .output_dim = 2}), Flatten()});
  const Tensor x = zeros({4, 2}), rows = Tensor::from<int32_t>({0, 1, 7, 0}),
               indices = Tensor::from<int32_t>({0, 1, 9, 0}, {4, 1});
  const struct {
    Model model;
    Tensor x, y;
    std::string place;  // and what follows
    bool predicts = true;
  } cases[] = {{classifier(), x, rows, "SparseSoftmaxCrossEntropy: got label 7", false},
               {compiled(embedding, "mse"), indices, zeros({4, 2}), "/Gather: got index 9"},
               {compiled(Sequential({make<Squares>()}), "mse"), x, x, "/squares: matmul: got"},
               {compiled(Sequential({Dense({.units = 2})}),
                         Loss([](Value a, Value b) { return ops::matmul(a, b); }, "mine")),
                x, x, "mine: matmul: got", false},
               {compiled(Sequential({Input({.shape = {3}}), Dense({.units = 2})}), "mse"), x, x,
                ": got input [N, 2]; want [N, 3]"}};
  for (const auto& [model, x, y, place, predicts] : cases) {
    std::vector<std::string> errors = {error_of([&] { model.fit(x, y, {.verbose = 0}); }),
                                       error_of([&] { model.evaluate(x, y, {.verbose = 0}); }),
                                       error_of([&] { model.train_on_batch(x, y); }),
                                       error_of([&] { model.test_on_batch(x, y); })};
    if (predicts) {
      errors.push_back(error_of([&] { model.predict(x, {.verbose = 0}); }));
      errors.push_back(error_of([&] { model.predict_on_batch(x); }));
    }
    for (const std::string& error : errors) {
      EXPECT_THAT(error, HasSubstr(place));
      expect_each_place_once(error);
    }
  }
}

TEST_F(ErrorsTest, WhatIsWrongWithTheValidationSaysSo) {
  const Sequential model = classifier();
  const Tensor x = zeros({4, 2}), y = zeros({4}, DType::kI32);
  const auto error = [&](FitOptions options) {
    options.verbose = 0;
    return error_of([&] { model.fit(x, y, options); });
  };
  const auto dataset = data::Dataset::from_tensor_slices({x, y});
  const std::string where = "fit: validation: ";
  using ::testing::StartsWith;
  EXPECT_THAT(error({.validation_data = {zeros({4, 3}), y}}),
              AllOf(StartsWith(where + "dense: got input [N, 3]"), HasSubstr("2")));
  EXPECT_THAT(error({.validation_data = {x, zeros({4, 3, 3}, DType::kI32)}}), StartsWith(where));
  EXPECT_THAT(error({.validation_data = {x, zeros({3}, DType::kI32)}}),
              AllOf(StartsWith(where), HasSubstr("3 rows"), HasSubstr("4")));
  EXPECT_THAT(error({.validation_data = {zeros({}), y}}),
              StartsWith(where + "got a tensor without rows"));
  EXPECT_THAT(error({.validation_data = {x, y, zeros({4, 3})}}),
              AllOf(StartsWith(where), HasSubstr("weights [N, 3]")));
  EXPECT_THAT(error({.validation_data = {x, Tensor::from<int32_t>({0, 1, 7, 0})}}),
              AllOf(StartsWith(where), HasSubstr("got label 7")));
  EXPECT_THAT(error({.validation_data = dataset.repeat().batch(2)}),
              StartsWith(where + "got an endless dataset"));
  EXPECT_THAT(error({.validation_data = dataset.take(0).batch(2)}),
              StartsWith(where + "got a dataset without a batch"));
  EXPECT_THAT(error({.validation_data = data::Dataset::from_tensor_slices({x}).batch(2)}),
              AllOf(StartsWith(where), HasSubstr("got 1 components")));
  EXPECT_THAT(error({.validation_data = {x, y}, .validation_batch_size = 0}),
              HasSubstr("fit: got validation_batch_size 0"));
  EXPECT_THAT(error({.validation_data = {x, y}, .validation_steps = 0}),
              StartsWith(where + "steps: got 0"));
  // What is wrong with the training does not.
  EXPECT_THAT(error_of([&] {
                model.fit(zeros({4, 3}), y, {.verbose = 0, .validation_data = {x, y}});
              }),
              AllOf(HasSubstr("got input [N, 3]"), ::testing::Not(HasSubstr("validation"))));
  const LambdaCallback fails(
      {.on_epoch_end = [](int64_t, const Logs&) { throw Aborted("mine: got enough; want out"); }});
  EXPECT_EQ(error({.callbacks = {fails}, .validation_data = {x, y}}), "mine: got enough; want out");
}

TEST_F(ErrorsTest, ArgumentsWithoutRowsNameTheCall) {
  const Sequential model = classifier();
  const Tensor y = zeros({4}, DType::kI32);
  EXPECT_THAT(error_of([&] { model.fit(Tensor(), y, {.verbose = 0}); }),
              HasSubstr("fit: got a tensor without rows"));
  EXPECT_THAT(error_of([&] { model.evaluate(zeros({}), y, {.verbose = 0}); }),
              HasSubstr("evaluate: got a tensor without rows"));
  EXPECT_THAT(error_of([&] { model.predict(zeros({}), {.verbose = 0}); }),
              HasSubstr("predict: got a tensor without rows"));
}

TEST_F(ErrorsTest, LabelsThatDoNotFitThePredictions) {
  const Sequential model({Dense({.units = 3})});
  model.compile({.optimizer = "sgd", .loss = "categorical_crossentropy"});
  EXPECT_THAT(error_of([&] {
                model.fit(zeros({4, 2}), zeros({4}), {.verbose = 0});
              }),
              AllOf(HasSubstr("categorical_crossentropy"), HasSubstr("[N]"), HasSubstr("[N, 3]")));
}

TEST_F(ErrorsTest, InputsOfAnotherShapeThanTheModelWasBuiltFor) {
  const Sequential model = classifier();
  model.fit(zeros({4, 2}), zeros({4}, DType::kI32), {.verbose = 0});
  EXPECT_THAT(error_of([&] {
                model.predict(zeros({4, 5}), {.verbose = 0});
              }),
              AllOf(HasSubstr("dense: got input [N, 5]"), HasSubstr("2")));
}

TEST_F(ErrorsTest, FunctionalModelsMustBeConnected) {
  const auto a = Input({.shape = {2}, .name = "a"}), b = Input({.shape = {2}, .name = "b"});
  const auto sum = Add()({a, b});
  EXPECT_THAT(error_of([&] { Model({.inputs = {a}, .outputs = {sum}}); }),
              HasSubstr("depend on input b"));
  EXPECT_THAT(error_of([&] { Model({.inputs = {sum}, .outputs = {sum}}); }),
              HasSubstr("results of Input"));
  EXPECT_THAT(error_of([&] { Model({.inputs = {}, .outputs = {}}); }), HasSubstr("0 inputs"));
}

TEST_F(ErrorsTest, OutputsWithoutLossesOrWithWrongNames) {
  const auto x = Input({.shape = {2}});
  const Model model(
      {.inputs = {x},
       .outputs = {Dense({.units = 1, .name = "p"})(x), Dense({.units = 1, .name = "q"})(x)}});
  const auto fit = [&](CompileOptions options) {
    options.optimizer = "sgd";
    model.compile(options);
    return error_of([&] {
      model.fit({zeros({4, 2})}, {zeros({4, 1}), zeros({4, 1})}, {.verbose = 0});
    });
  };
  EXPECT_THAT(fit({.loss = {{"p", "mse"}}}), HasSubstr("nothing for output \"q\""));
  EXPECT_THAT(fit({.loss = {{"p", "mse"}, {"r", "mse"}}}),
              AllOf(HasSubstr("\"r\""), HasSubstr("p, q")));
  EXPECT_THAT(fit({.loss = "mse", .metrics = {"mse", "mse", "mse"}}), HasSubstr("3 metrics for 2"));
}

TEST_F(ErrorsTest, WeightsOfOtherShapesLeaveTheModelAlone) {
  const Sequential model({Input({.shape = {2}}), Dense({.units = 1})});
  const std::vector<Tensor> before = model.get_weights();
  EXPECT_THAT(error_of([&] {
                model.set_weights({zeros({2, 1})});
              }),
              HasSubstr("got 1 values; want 2"));
  EXPECT_THAT(error_of([&] {
                model.set_weights({zeros({2, 1}), zeros({2})});
              }),
              AllOf(HasSubstr("dense/bias"), HasSubstr("[2]"), HasSubstr("[1]")));
  EXPECT_TRUE(bitwise_equal(model.get_weights()[0], before[0]));
}

TEST_F(ErrorsTest, SymbolicValuesHaveNoNumbers) {
  EXPECT_THAT(error_of([] {
                run(
                    [](std::span<const Value> in) {
                      if (in[0]) return std::vector<Value>{in[0]};
                      return std::vector<Value>{};
                    },
                    {zeros({1})});
              }),
              HasSubstr("ops::where"));
  EXPECT_THAT(error_of([] { Variable(zeros({1}), "v").read(); }),
              AllOf(HasSubstr("variable v"), HasSubstr("traced function")));
}

}  // namespace
}  // namespace cohort::nn
