// The training programs of Keras' guides, with their names: short data, whole programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cohort.h"

namespace {

using namespace cohort;
using namespace cohort::nn;

/// np.random.rand.
Tensor rand(Shape shape) {
  Tensor tensor(DType::kF32, std::move(shape));
  uint32_t state = 1;
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] =
        static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) / 16777216.0f;
  return tensor;
}

/// np.random.randint.
Tensor randint(int32_t low, int32_t high, int64_t size) {
  const Tensor numbers = rand({size});
  Tensor tensor(DType::kI32, {size});
  for (int64_t i = 0; i < size; ++i)
    tensor.data<int32_t>()[i] =
        low + static_cast<int32_t>(numbers.data<float>()[i] * static_cast<float>(high - low));
  return tensor;
}

void expect_falls(const History& history, const std::string& name = "loss") {
  EXPECT_LT(history[name].back(), history[name].front()) << name;
}

class KerasProgramsTest : public ::testing::Test {
 protected:
  void SetUp() override { set_random_seed(1); }
};

TEST_F(KerasProgramsTest, AFeedforwardNetwork) {
  const Sequential model({Input({.shape = {784}}), Dense{.units = 128, .activation = "relu"},
                          Dense{.units = 64, .activation = "relu"},
                          Dense{.units = 10, .activation = "softmax"}});
  model.compile({.optimizer = Adam({.learning_rate = 0.001}),
                 .loss = CategoricalCrossentropy{},
                 .metrics = {"accuracy"}});
  const Tensor x_train = rand({100, 784});
  const Tensor y_train = data::to_categorical(randint(0, 10, 100), 10);
  expect_falls(model.fit(x_train, y_train, {.epochs = 5, .verbose = 0}));
}

TEST_F(KerasProgramsTest, FromBuildingToEvaluation) {
  const Sequential model(
      {Input({.shape = {28, 28}}), Flatten{}, Dense{.units = 128, .activation = "relu"},
       Dense{.units = 64, .activation = "relu"}, Dense{.units = 10, .activation = "softmax"}});
  model.compile({.optimizer = Adam({.learning_rate = 0.001}),
                 .loss = "sparse_categorical_crossentropy",
                 .metrics = {"accuracy"}});
  const Tensor x_train = rand({100, 28, 28}), y_train = randint(0, 10, 100);
  const Tensor x_val = rand({20, 28, 28}), y_val = randint(0, 10, 20);
  const History history =
      model.fit(x_train, y_train,
                {.batch_size = 32, .epochs = 5, .verbose = 0, .validation_data = {x_val, y_val}});
  expect_falls(history);
  EXPECT_EQ(history["val_accuracy"].size(), 5u);
  const Tensor x_test = rand({10, 28, 28}), y_test = randint(0, 10, 10);
  const Logs result = model.evaluate(x_test, y_test, {.verbose = 0});
  EXPECT_GT(result["loss"], 0);
  EXPECT_EQ(model.predict(x_test, {.verbose = 0}).shape(), (Shape{10, 10}));
}

TEST_F(KerasProgramsTest, ASharedLayer) {
  const auto input_a = Input({.shape = {32}}), input_b = Input({.shape = {32}});
  const Layer shared_layer = Dense{.units = 64, .activation = "relu"};
  const auto x_a = shared_layer(input_a), x_b = shared_layer(input_b);
  auto x = Concatenate{}({x_a, x_b});
  x = Dense{.units = 64, .activation = "relu"}(x);
  const auto output = Dense{.units = 1, .activation = "sigmoid"}(x);
  const Model model({.inputs = {input_a, input_b}, .outputs = {output}});
  model.compile({.optimizer = "adam", .loss = "binary_crossentropy", .metrics = {"accuracy"}});
  EXPECT_EQ(shared_layer.get_weights().size(), 2u);
  expect_falls(model.fit({rand({64, 32}), rand({64, 32})}, {randint(0, 2, 64)},
                         {.epochs = 5, .verbose = 0}));
}

class CustomModel : public ModelImpl {
 public:
  CustomModel() : ModelImpl("CustomModel") {}
  std::vector<Value> call(const CallArgs& args) override {
    Value x = dense1_(args.input());
    x = dense2_(x);
    return {output_layer_(x)};
  }

 private:
  Layer dense1_ = child("dense1", Dense{.units = 64, .activation = "relu"});
  Layer dense2_ = child("dense2", Dense{.units = 64, .activation = "relu"});
  Layer output_layer_ = child("output_layer", Dense{.units = 1, .activation = "sigmoid"});
};

TEST_F(KerasProgramsTest, ASubclassOfModel) {
  const Model model = make<CustomModel>();
  model.compile({.optimizer = "adam", .loss = "binary_crossentropy", .metrics = {"accuracy"}});
  expect_falls(model.fit(rand({64, 16}), randint(0, 2, 64), {.epochs = 5, .verbose = 0}));
}

TEST_F(KerasProgramsTest, SeveralInputsAndOutputs) {
  const auto input_1 = Input({.shape = {32}}), input_2 = Input({.shape = {64}});
  const auto x1 = Dense{.units = 32, .activation = "relu"}(input_1);
  const auto x2 = Dense{.units = 32, .activation = "relu"}(input_2);
  const auto merged = Concatenate{}({x1, x2});
  const auto output_1 = Dense{.units = 1, .activation = "sigmoid", .name = "output_1"}(merged);
  const auto output_2 = Dense{.units = 10, .activation = "softmax", .name = "output_2"}(merged);
  const Model model({.inputs = {input_1, input_2}, .outputs = {output_1, output_2}});
  model.compile(
      {.optimizer = "adam",
       .loss = {{"output_1", "binary_crossentropy"}, {"output_2", "categorical_crossentropy"}},
       .metrics = {{"output_1", {"accuracy"}}, {"output_2", {"accuracy"}}}});
  const Tensor data_1 = rand({64, 32}), data_2 = rand({64, 64});
  const Tensor labels_1 = randint(0, 2, 64);
  const Tensor labels_2 = data::to_categorical(randint(0, 10, 64), 10);
  const History history = model.fit(
      {data_1, data_2}, {labels_1, labels_2},
      {.batch_size = 32,
       .epochs = 10,
       .verbose = 0,
       .validation_data = {std::vector{data_1, data_2}, std::vector{labels_1, labels_2}}});
  for (const char* name : {"loss", "output_1_loss", "output_2_loss"}) expect_falls(history, name);
  EXPECT_EQ(history["val_output_2_accuracy"].size(), 10u);
}

TEST_F(KerasProgramsTest, OneLayerOnTwoInputs) {
  const Layer shared_dense = Dense{.units = 128, .activation = "relu"};
  const auto input_a = Input({.shape = {64}}), input_b = Input({.shape = {64}});
  const auto output_a = shared_dense(input_a), output_b = shared_dense(input_b);
  const Model model({.inputs = {input_a, input_b}, .outputs = {output_a, output_b}});
  model.compile({.optimizer = "adam", .loss = {"mse", "mse"}});
  expect_falls(model.fit({rand({64, 64}), rand({64, 64})}, {rand({64, 128}), rand({64, 128})},
                         {.epochs = 3, .verbose = 0}));
}

TEST_F(KerasProgramsTest, AConvolutionalNetwork) {
  const Sequential model({Input({.shape = {64, 64, 3}}),
                          Conv2D{.filters = 32, .kernel_size = {3, 3}, .activation = "relu"},
                          MaxPooling2D{.pool_size = {2, 2}},
                          Conv2D{.filters = 64, .kernel_size = {3, 3}, .activation = "relu"},
                          MaxPooling2D{.pool_size = {2, 2}}, Flatten{},
                          Dense{.units = 128, .activation = "relu"},
                          Dense{.units = 10, .activation = "softmax"}});
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy", .metrics = {"accuracy"}});
  const Tensor x_train = rand({32, 64, 64, 3});
  const Tensor y_train = data::to_categorical(randint(0, 10, 32), 10);
  expect_falls(model.fit(
      x_train, y_train,
      {.batch_size = 16, .epochs = 3, .verbose = 0, .validation_data = {x_train, y_train}}));
}

SymbolicTensor cnn_block(const SymbolicTensor& input, int64_t filters) {
  const auto x = Conv2D{.filters = filters, .kernel_size = {3, 3}, .padding = "same"}(input);
  return Activation("relu")(BatchNormalization{}(x));
}

SymbolicTensor inception_block(const SymbolicTensor& x, int64_t filter1, int64_t filter2) {
  return Concatenate{}({cnn_block(x, filter1), cnn_block(x, filter2)});
}

TEST_F(KerasProgramsTest, AnInceptionNetwork) {
  const auto inputs = Input({.shape = {28, 28, 1}});
  auto x = cnn_block(inputs, 32);
  x = MaxPooling2D{.pool_size = 3}(x);
  x = inception_block(x, 32, 32);
  x = inception_block(x, 64, 64);
  x = cnn_block(x, 128);
  x = GlobalAveragePooling2D{}(x);
  x = Dense{.units = 256, .activation = "relu"}(x);
  x = Dropout{.rate = 0.5}(x);
  const auto outputs = Dense{.units = 10}(x);
  const Model model({.inputs = {inputs}, .outputs = {outputs}, .name = "final_model"});
  EXPECT_THAT(model.summary_text(), ::testing::HasSubstr("final_model"));
  model.compile({.optimizer = "adam",
                 .loss = SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
  expect_falls(model.fit(rand({32, 28, 28, 1}), randint(0, 10, 32),
                         {.batch_size = 16, .epochs = 3, .verbose = 0}));
}

TEST_F(KerasProgramsTest, FrozenLayers) {
  const Sequential seq_model({.name = "my_seq_model"});
  seq_model.add(Input({.shape = {8, 8, 3}}));
  seq_model.add(Dense{.units = 32, .activation = "relu", .name = "layer-1"});
  seq_model.add(Dense{.units = 32, .activation = "relu", .name = "layer-2"});
  seq_model.add(Dense{.units = 1, .activation = "sigmoid", .name = "layer-3"});
  const std::vector<Layer> layers = seq_model.layers();
  for (size_t i = 0; i + 1 < layers.size(); ++i) layers[i].set_trainable(false);
  seq_model.compile({.optimizer = "sgd", .loss = "mse"});
  EXPECT_EQ(seq_model.trainable_weights().size(), 2u);
  const std::vector<Tensor> before = seq_model.get_weights();
  seq_model.fit(rand({16, 8, 8, 3}), rand({16, 8, 8, 1}), {.verbose = 0});
  const std::vector<Tensor> after = seq_model.get_weights();
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_EQ(bitwise_equal(before[i], after[i]), i < 4) << "weight " << i;
}

}  // namespace
