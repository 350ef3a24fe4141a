#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cohort/checkpoint/exported_directory.h"
#include "cohort/checkpoint/saved_state.h"
#include "cohort/cohort.h"
#include "cohort/core/graph/serialize.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/splice.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"
#include "tests/support/weight_models.h"

/// Models that are exported, and run again by who knows nothing of them.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
namespace fs = std::filesystem;

/// A layer of a program's own, with a state that goes through time: h = tanh([x_t, h] W).
class Recurrent : public LayerImpl {
 public:
  explicit Recurrent(int64_t units) : LayerImpl("Recurrent"), units_(units) {}
  void build(std::span<const TensorType> inputs) override {
    const Dim& features = inputs[0].shape[2];
    kernel_ = add_weight("kernel", {.shape = {features.number() + units_, units_}});
  }
  std::vector<Value> call(const CallArgs& args) override {
    const Value x = args.input();
    Value state;
    for (int64_t t = 0; t < x.shape()[1].number(); ++t) {
      const Value now = ops::squeeze(ops::slice_axis(x, 1, t, t + 1), 1);
      if (!state.defined()) state = ops::slice_axis(now, 1, 0, units_) * 0.0;
      state = ops::tanh(ops::matmul(ops::concat({now, state}, 1), kernel_));
    }
    return {state};
  }

 private:
  int64_t units_;
  Variable kernel_;
};

/// Two inputs, two outputs, a shared layer, and most kinds of layers; trained a little, so that
/// moving statistics are not those at the beginning.
Model large_model() {
  set_random_seed(5);
  const auto image = Input({.shape = {8, 8, 2}, .name = "image"});
  const auto words = Input({.shape = {6}, .dtype = DType::kI32, .name = "words"});
  SymbolicTensor x = Conv2D{.filters = 4, .kernel_size = 3, .activation = "relu"}(image);
  x = Dropout{.rate = 0.3}(MaxPooling2D{}(BatchNormalization{}(x)));
  const Layer shared = Dense{.units = 5, .activation = "tanh", .name = "shared"};
  const auto of_image = shared(Dense{.units = 7}(Flatten{}(x)));
  const Layer recurrent = make<Recurrent>(4);
  const auto vectors = Embedding{.input_dim = 11, .output_dim = 5}(words);
  const auto of_words = shared(Dense{.units = 7}(recurrent(vectors)));
  const auto both = Concatenate{}({of_image, of_words});
  const Model model({.inputs = {image, words},
                     .outputs = {Dense{.units = 3, .activation = "softmax", .name = "class"}(both),
                                 Dense{.units = 1, .name = "score"}(of_words)}});
  model.compile({.optimizer = "adam", .loss = {"sparse_categorical_crossentropy", "mse"}});
  return model;
}

std::vector<Tensor> large_inputs(int64_t rows) {
  Tensor words(DType::kI32, Shape{rows, 6});
  for (int64_t i = 0; i < words.num_elements(); ++i)
    words.data<int32_t>()[i] = static_cast<int32_t>(i * 7 % 11);
  Tensor image(DType::kF32, Shape{rows, 8, 8, 2});
  for (int64_t i = 0; i < image.num_elements(); ++i)
    image.data<float>()[i] = static_cast<float>(i * 37 % 101) / 101 - 0.5f;
  return {image, words};
}

void train(const Model& model) {
  Tensor labels(DType::kI32, Shape{16}), scores = Tensor::full(DType::kF32, Shape{16, 1}, 0.5);
  for (int i = 0; i < 16; ++i) labels.data<int32_t>()[i] = i % 3;
  for (int step = 0; step < 3; ++step) model.train_on_batch(large_inputs(16), {labels, scores});
}

std::vector<Tensor> predict(const Model& model, const std::vector<Tensor>& inputs) {
  return model.predict_all(inputs, {.batch_size = inputs.front().size(0), .verbose = 0});
}

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_TRUE(bitwise_equal(got[i], want[i]))
        << i << ": " << got[i].to_string() << want[i].to_string();
}

/// What another process gets from the function "serve".
std::vector<Tensor> serve(const std::string& directory, const std::vector<Tensor>& inputs,
                          const TemporaryDirectory& folder) {
  std::ofstream(folder.path("inputs"), std::ios::binary) << serialize_tensors(inputs);
  const std::string command = fmt::format("{} {} serve {} {}", COHORT_SERVING_PROGRAM, directory,
                                          folder.path("inputs"), folder.path("outputs"));
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(folder.path("outputs"), std::ios::binary);
  return deserialize_tensors(std::string{std::istreambuf_iterator<char>(file), {}}, "outputs");
}

TEST(ExportTest, AnotherProcessGetsTheBitsOfPredict) {
  const TemporaryDirectory folder;
  const Model model = large_model();
  train(model);
  const std::string directory = folder.path("exported");
  model.export_to(directory);
  std::vector<Tensor> inputs, want;
  for (const int64_t rows : {1, 3, 32, 33}) {
    for (Tensor& input : large_inputs(rows)) inputs.push_back(std::move(input));
    for (Tensor& output : predict(model, large_inputs(rows))) want.push_back(std::move(output));
  }
  expect_same(serve(directory, inputs, folder), want);
}

class ExportedModelTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Of, ExportedModelTest,
                         ::testing::Values("sequential", "functional", "nested", "subclassed"));

TEST_P(ExportedModelTest, GivesTheBitsOfPredict) {
  const TemporaryDirectory folder;
  const Model model = testing::make_weight_model(GetParam());
  const std::vector<Tensor> inputs = testing::weight_model_inputs(GetParam());
  model.export_to(folder.path("exported"));
  const LoadedFunction function = load_function(folder.path("exported"));
  expect_same(function(inputs), predict(model, inputs));
}

TEST(ExportTest, SaysWhatItTakesAndGives) {
  const TemporaryDirectory folder;
  const Model model = large_model();
  model.export_to(folder.path("exported"));
  const LoadedFunction function = load_function(folder.path("exported"));
  EXPECT_EQ(function.name(), "serve");
  EXPECT_EQ(function.inputs(),
            (std::vector<NamedType>{{"image", {DType::kF32, {batch_dim(), 8, 8, 2}}},
                                    {"words", {DType::kI32, {batch_dim(), 6}}}}));
  EXPECT_EQ(function.outputs(),
            (std::vector<NamedType>{{"class", {DType::kF32, {batch_dim(), 3}}},
                                    {"score", {DType::kF32, {batch_dim(), 1}}}}));
  const std::vector<Tensor> inputs = large_inputs(2), want = predict(model, inputs);
  const auto named = function({{"words", inputs[1]}, {"image", inputs[0]}});
  expect_same({named.at("class"), named.at("score")}, want);
}

/// Values of variables that lie in parts, and one that replicas sum.
TEST(ExportTest, UnderStrategiesValuesAreWhole) {
  default_runtime().set_logical_cpu_devices(2, 1);
  const distribute::Strategy mirrored =
      distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  const distribute::Strategy zero = distribute::MirroredStrategy(
      {.devices = {"cpu:0", "cpu:1"}, .sharding = distribute::Sharding::kZero2});
  for (const distribute::Strategy& strategy : {mirrored, zero}) {
    const TemporaryDirectory folder;
    const Model model = strategy.scope([] { return large_model(); });
    train(model);
    model.export_to(folder.path("exported"));
    const Model alone = large_model();
    alone.set_weights(model.get_weights());
    expect_same(load_function(folder.path("exported"))(large_inputs(5)),
                predict(alone, large_inputs(5)));
  }
}

/// As in a program that fits first and asks for no shapes.
TEST(ExportTest, WhatAModelWasCalledOnIsItsSignature) {
  const TemporaryDirectory folder;
  const Sequential model({Rescaling{.scale = 0.5}, Flatten{}, Dense{.units = 2}});
  expect_error(Code::kFailedPrecondition, {"no weights yet"},
               [&] { model.export_to(folder.path("a")); });
  const Tensor x = Tensor::full(DType::kU8, Shape{5, 2, 3}, 7);
  const Tensor y = model.predict(x, {.verbose = 0});
  model.export_to(folder.path("a"));
  const LoadedFunction function = load_function(folder.path("a"));
  EXPECT_EQ(function.inputs(),
            (std::vector<NamedType>{{"input_1", {DType::kU8, {batch_dim(), 2, 3}}}}));
  expect_same(function(x), {y});
  model.export_to(folder.path("a"),
                  {.input_signature = {{"x", {DType::kF32, {Dim(std::string("M")), 2, 3}}}}});
  expect_same(load_function(folder.path("a"))(x.cast(DType::kF32)), {y});
}

TEST(ExportTest, InputsThatDoNotFitAreNamed) {
  const TemporaryDirectory folder;
  large_model().export_to(folder.path("a"));
  const LoadedFunction function = load_function(folder.path("a"));
  const std::vector<Tensor> good = large_inputs(2);
  expect_error(Code::kInvalidArgument,
               {"serve: input \"words\": got int32 [3, 6]; want int32 [N, 6], N = 2"},
               [&] { function(good[0], large_inputs(3)[1]); });
  expect_error(Code::kInvalidArgument, {"input \"image\": got float64 [2, 8, 8, 2]; want float32"},
               [&] { function(good[0].cast(DType::kF64), good[1]); });
  expect_error(Code::kInvalidArgument, {"serve: got 1 arguments; want 2"},
               [&] { function(good[0]); });
  expect_error(Code::kInvalidArgument, {"got inputs \"image\" \"word\"; want \"image\" \"words\""},
               [&] {
                 function({{"image", good[0]}, {"word", good[1]}});
               });
  expect_same(function(good[0], good[1]), function(good[0], good[1]));
}

/// Attributes are what a file may say at will: others than ops expect are refused, by their shape
/// rules or when a kernel is made, and never run into memory that is not theirs.
TEST(ExportTest, AttributesOfOtherTypesAndValuesAreRefusedOrRun) {
  const TemporaryDirectory folder;
  large_model().export_to(folder.path("a"));
  const OpRegistry& ops = default_runtime().ops();
  const auto read = [&] { return checkpoint::read_functions(folder.path("a"), ops).front(); };
  const std::vector<Attr> others = {int64_t{0},
                                    int64_t{-1},
                                    INT64_MIN,
                                    INT64_MAX,
                                    0.0,
                                    -1e300,
                                    std::string(),
                                    DType::kBool,
                                    Shape{},
                                    std::vector<int64_t>{},
                                    std::vector<int64_t>{0, 0},
                                    std::vector<int64_t>{INT64_MIN, -1},
                                    std::vector<double>{1},
                                    true};
  size_t refusals = 0, runs = 0, attributes = 0;
  const size_t num_nodes = read().graph->nodes().size();
  for (size_t i = 0; i < num_nodes; ++i) {
    const checkpoint::StoredFunction original = read();
    const auto entries = original.graph->nodes()[i]->attrs().entries();
    attributes += entries.size();
    for (const auto& [name, before] : entries) {
      std::vector<Attr> values = others;
      values.push_back(before);
      for (const Attr& other : values) try {
          original.graph->nodes()[i]->mutable_attrs().set(name, other);
          const std::string bytes = checkpoint::serialize_functions({original});
          original.graph->nodes()[i]->mutable_attrs().set(name, before);
          auto parsed = checkpoint::parse_functions(
              bytes, "f", ops,
              [&](DType dtype, const Shape& shape, const VariableOptions& options) {
                return std::make_shared<VariableState>(Tensor(dtype, shape), options);
              });
          const Function run = function([&](std::vector<Value> inputs) {
            return splice(*parsed[0].graph, parsed[0].results, inputs[0].graph(), inputs,
                          {{"N", Dim(2)}});
          });
          run(large_inputs(2));
          ++runs;
        } catch (const Error&) {
          original.graph->nodes()[i]->mutable_attrs().set(name, before);
          ++refusals;
        }
    }
  }
  EXPECT_GT(refusals, 200u);
  EXPECT_GE(runs, attributes);  // with each as it was
}

Sequential two_dense() {
  return Sequential(
      {Input({.shape = {3}}), Dense{.units = 4, .activation = "relu"}, Dense{.units = 2}});
}

TEST(ExportArchiveTest, EndpointsShareWeightsUnderTheirNames) {
  const TemporaryDirectory folder;
  const Sequential model = two_dense();
  const Variable scale(Tensor::scalar(2.0f), "scale");
  ExportArchive archive;
  archive.track(model);
  const std::vector<NamedType> inputs{{"x", {DType::kF32, {batch_dim(), 3}}}};
  archive.add_endpoint("scores", function([&](Value x) { return model(x) * scale; }), inputs,
                       {"score"});
  archive.add_endpoint("pairs", function([&](Value x) {
                         const Value y = model(x);
                         return std::vector<Value>{ops::concat({y, y}, 0), y};
                       }),
                       inputs);
  expect_error(Code::kAlreadyExists, {"second \"pairs\""},
               [&] { archive.add_endpoint("pairs", function([](Value x) { return x; }), inputs); });
  archive.write_out(folder.path("a"));

  const auto functions = load_functions(folder.path("a"));
  ASSERT_EQ(functions.size(), 2u);
  const LoadedFunction pairs = functions.at("pairs"), scores = functions.at("scores");
  EXPECT_EQ(pairs.outputs()[0],
            (NamedType{"output_1", {DType::kF32, {Dim(std::string("2*N")), 2}}}));
  const Tensor x = Tensor::full(DType::kF32, Shape{3, 3}, 0.5);
  const Tensor y = model(x);
  expect_same({pairs(x)[1], pairs(x)[0].slice(0, 3, 6).contiguous()}, {y, y});
  EXPECT_EQ(scores(x)[0].data<float>()[1], 2 * y.data<float>()[1]);
  expect_error(Code::kNotFound, {"got \"serve\"", "\"pairs\" \"scores\""},
               [&] { load_function(folder.path("a")); });

  const checkpoint::SavedState state(checkpoint::posix_storage(), folder.path("a"));
  std::vector<std::string> names;
  for (const auto& tensor : state.manifest().tensors) names.push_back(tensor.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("layers/dense/bias", "layers/dense/kernel",
                                     "layers/dense_1/bias", "layers/dense_1/kernel", "scale"));
}

TEST(ExportArchiveTest, ALoadedFunctionIsAPartOfOthers) {
  const TemporaryDirectory folder;
  const Sequential model = two_dense();
  model.export_to(folder.path("a"));
  const LoadedFunction loaded = load_function(folder.path("a"));
  const Function twice = function(
      [&](Value x) { return ops::reduce_sum(loaded.call({x}).front() * 2.0, {.axis = {1}}); });
  const Tensor x = Tensor::full(DType::kF32, Shape{3, 3}, 0.5), y = model(x);
  EXPECT_FLOAT_EQ(twice(x)[0].data<float>()[2], 2 * (y.data<float>()[4] + y.data<float>()[5]));
}

TEST(ExportArchiveTest, WhatWritesIsRefused) {
  const Variable count(Tensor::scalar(0.0f), "count");
  ExportArchive archive;
  expect_error(Code::kFailedPrecondition, {"add_endpoint: counted", "writes"}, [&] {
    archive.add_endpoint("counted", function([&](Value x) {
                           ops::assign_add(count.shared(), ops::reduce_sum(x));
                           return x;
                         }),
                         {{"x", {DType::kF32, {batch_dim()}}}});
  });
  expect_error(Code::kFailedPrecondition, {"no endpoint"},
               [&] { archive.write_out("/nonexistent/a"); });
}

}  // namespace
}  // namespace cohort::nn
