// Bad input gets a clear error, where it was made.
#include <gmock/gmock.h>

#include "cohort/core/ops/array.h"
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

  const Dense dense({.units = 2, .name = "head"});
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
  EXPECT_THAT(error_of([] { Dense({.units = 0}); }), HasSubstr("dense: got units 0"));
  EXPECT_THAT(error_of([] { Dropout({.rate = 1.5}); }), HasSubstr("dropout: got rate 1.5"));
  EXPECT_THAT(error_of([] { Conv2D({.filters = 3, .kernel_size = 3, .groups = 2}); }),
              HasSubstr("groups 2"));
  EXPECT_THAT(error_of([] { Conv2D({.filters = 3, .kernel_size = 3, .padding = "full"}); }),
              AllOf(HasSubstr("full"), HasSubstr("valid, same")));
  EXPECT_THAT(error_of([] { Adam({.beta_1 = 1.0}); }), HasSubstr("beta_1 1"));
  EXPECT_THAT(error_of([] { SGD({.clipnorm = 1.0, .clipvalue = 1.0}); }),
              HasSubstr("more than one"));
  EXPECT_THAT(error_of([] { SGD({.gradient_accumulation_steps = 0}); }),
              HasSubstr("gradient_accumulation_steps 0"));
}

TEST_F(ErrorsTest, UnknownNamesListTheKnown) {
  EXPECT_THAT(error_of([] { Dense({.units = 1, .activation = "rellu"}); }),
              AllOf(HasSubstr("rellu"), HasSubstr("gelu"), HasSubstr("relu6")));
  EXPECT_THAT(error_of([] { Dense({.units = 1, .activation = "threshold"}); }),
              HasSubstr("two numbers"));
  EXPECT_THAT(error_of([] { Loss("msee"); }),
              AllOf(HasSubstr("msee"), HasSubstr("sparse_categorical_crossentropy")));
  EXPECT_THAT(error_of([] { Optimizer("adamm"); }), AllOf(HasSubstr("adamm"), HasSubstr("sgd")));
  EXPECT_THAT(error_of([] { make_metric("acurracy", {2}, {2}); }), HasSubstr("binary_accuracy"));
  EXPECT_THAT(error_of([] { Dense({.units = 1, .kernel_initializer = "glorot"}); }),
              HasSubstr("glorot_uniform"));
  EXPECT_THAT(error_of([] { MeanSquaredError({.reduction = "avg"}); }),
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
