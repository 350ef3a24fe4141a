#include "cohort/nn/saving/saved_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "cohort/cohort.h"
#include "cohort/data/archive.h"
#include "tests/checkpoint/support.h"
#include "tests/golden/golden.h"
#include "tests/support/built_with.h"
#include "tests/support/damaged.h"
#include "tests/support/expect_error.h"

/// .keras files; tests/interop/keras_models.py asks Keras itself.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
namespace fs = std::filesystem;

const std::string kFiles = COHORT_SOURCE_DIR "/tests/golden/keras_files/";

class SavedModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::built_with::hdf5 || !testing::built_with::zip)
      GTEST_SKIP() << "this build is without HDF5 or libzip";
    clear_session();
  }
  std::string path(const std::string& name) const { return folder_.path(name); }
  TemporaryDirectory folder_;
};

std::vector<Tensor> recorded(const testing::Golden& golden, const std::string& name, DType dtype) {
  std::vector<Tensor> tensors;
  for (int i = 0; golden.has(name + std::to_string(i)); ++i) {
    const Tensor tensor = golden[name + std::to_string(i)];
    tensors.push_back(is_floating(tensor.dtype()) ? tensor.cast(dtype) : tensor);
  }
  return tensors;
}

void expect_near(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                 double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].shape(), want[i].shape());
    const Tensor g = got[i].cast(DType::kF64), w = want[i].cast(DType::kF64);
    for (int64_t k = 0; k < g.num_elements(); ++k)
      EXPECT_NEAR(g.data<double>()[k], w.data<double>()[k],
                  tolerance * (1 + std::abs(w.data<double>()[k])));
  }
}

/// Files that Keras wrote in float64 after three steps of training.
class KerasFileTest : public SavedModelTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Of, KerasFileTest,
                         ::testing::Values("dense", "shared", "words", "frozen", "training_state",
                                           "rmsprop", "loss_scale"));

TEST_P(KerasFileTest, PredictsAndTrainsOnAsKeras) {
  const testing::Golden golden("keras_files");
  const std::string name = GetParam();
  const Model model = load_model(kFiles + name + ".keras");
  const std::vector<Tensor> x = recorded(golden, name + "/x", DType::kF64),
                            y = recorded(golden, name + "/y", DType::kF64);
  expect_near(model.predict_all(x, {.verbose = 0}), recorded(golden, name + "/before", DType::kF64),
              1e-6);
  for (int step = 0; step < 5; ++step) model.train_on_batch(x, y);
  const std::vector<Tensor> after = model.predict_all(x, {.verbose = 0});
  expect_near(after, recorded(golden, name + "/after", DType::kF64), 1e-6);

  model.save(path("again.keras"));
  const Model again = load_model(path("again.keras"));
  EXPECT_EQ(again.to_json(), model.to_json());
  EXPECT_EQ(again.fingerprint(), model.fingerprint());
  for (const Model& each : {model, again})
    for (int step = 0; step < 3; ++step) each.train_on_batch(x, y);
  EXPECT_EQ(again.fingerprint(), model.fingerprint());
}

Sequential two_dense(const std::string& first, const std::string& second, int64_t units = 3) {
  return Sequential({Input({.shape = {3}}), Dense({.units = units, .name = first}),
                     Dense({.units = 3, .name = second})});
}

TEST_F(SavedModelTest, WritesTheFilesOfKerasInItsOrder) {
  two_dense("a", "b").save(path("m.keras"));
  const auto archive = data::open_archive(path("m.keras"));
  EXPECT_THAT(archive->names(),
              ::testing::ElementsAre("metadata.json", "config.json", "model.weights.h5"));
  const Config metadata = Config::parse(archive->read("metadata.json", 1000), "metadata");
  EXPECT_EQ(metadata.at("keras_version").as_text(), "3.15.1");
  size_t num_files = 0;
  for ([[maybe_unused]] const auto& each : fs::directory_iterator(folder_.path())) ++num_files;
  EXPECT_EQ(num_files, 1);
}

TEST_F(SavedModelTest, ASharedLayerIsOneInBothModelsThatHoldIt) {
  const Layer shared = Dense{.units = 3, .name = "shared"};
  const SymbolicTensor a = Input({.shape = {3}}), x = Input({.shape = {3}});
  const Model inner({.inputs = {a}, .outputs = {shared(a)}, .name = "inner"});
  const Model model({.inputs = {x}, .outputs = {inner(shared(x))}});
  model.save(path("m.keras"));
  const Model back = load_model(path("m.keras"));
  EXPECT_EQ(back.weights().size(), 2);
  EXPECT_EQ(back.fingerprint(), model.fingerprint());
  const Tensor data = Tensor::full(DType::kF32, {2, 3}, 0.5);
  expect_near({back.predict(data, {.verbose = 0})}, {model.predict(data, {.verbose = 0})}, 0);
}

TEST_F(SavedModelTest, CallArgumentsComeBack) {
  const SymbolicTensor x = Input({.shape = {4}, .name = "x"});
  const Layer norm = BatchNormalization{.name = "norm"};
  const SymbolicTensor y = norm(x, {.training = false});
  const Model model({.inputs = {x}, .outputs = {norm(y, {.training = true}), y}});
  const Model back = model_from_json(model.to_json());
  EXPECT_EQ(back.to_json(), model.to_json());
  EXPECT_EQ(back.outputs()[0].call().options.training, true);
  EXPECT_EQ(back.outputs()[1].call().options.training, false);
}

TEST_F(SavedModelTest, WithoutItsOptimizerAModelIsNotCompiled) {
  const Sequential model = two_dense("a", "b");
  model.compile({.optimizer = Adam{}, .loss = [](Value t, Value p) { return (t - p) * (t - p); }});
  expect_error(Code::kInvalidArgument, {"loss", "include_optimizer"},
               [&] { model.save(path("m.keras")); });
  model.save(path("m.keras"), {.include_optimizer = false});
  const Model back = load_model(path("m.keras"));
  EXPECT_FALSE(back.model_impl().compiled());
  EXPECT_EQ(back.fingerprint(), model.fingerprint());
  expect_error(Code::kAlreadyExists, {"m.keras"}, [&] {
    model.save(path("m.keras"), {.overwrite = false, .include_optimizer = false});
  });
}

/// A file with the config of one model and the weights of another.
void mix(const std::string& config, const std::string& weights, const std::string& to) {
  const auto first = data::open_archive(config), second = data::open_archive(weights);
  data::write_archive(
      to, {{.name = "metadata.json", .text = first->read("metadata.json", 1 << 20)},
           {.name = "config.json", .text = first->read("config.json", 1 << 20)},
           {.name = "model.weights.h5", .text = second->read("model.weights.h5", 1 << 20)}});
}

TEST_F(SavedModelTest, ASwappedRenamedOrSuperfluousLayerIsNamed) {
  two_dense("a", "b").save(path("ab.keras"));
  two_dense("b", "a").save(path("ba.keras"));
  two_dense("a", "c").save(path("ac.keras"));
  Sequential({Input({.shape = {3}}), Dense({.units = 3, .name = "a"})}).save(path("a.keras"));
  mix(path("ab.keras"), path("ba.keras"), path("swapped.keras"));
  expect_error(Code::kInvalidArgument, {"swapped.keras", "\"b\"", "\"a\""},
               [&] { load_model(path("swapped.keras")); });
  mix(path("ab.keras"), path("ac.keras"), path("renamed.keras"));
  expect_error(Code::kInvalidArgument, {"\"c\"", "\"b\""},
               [&] { load_model(path("renamed.keras")); });
  mix(path("a.keras"), path("ab.keras"), path("superfluous.keras"));
  expect_error(Code::kInvalidArgument, {"layers/dense_1/vars/0", "no weight takes it"},
               [&] { load_model(path("superfluous.keras")); });
  EXPECT_EQ(load_model(path("superfluous.keras"), {.skip_mismatch = true}).weights().size(), 2);
}

TEST_F(SavedModelTest, AModelWithoutAnInputIsBuiltForItsShape) {
  const Sequential model({Dense({.units = 2})});
  expect_error(Code::kFailedPrecondition, {"no weights yet"}, [&] { model.save(path("m.keras")); });
  const Tensor x = Tensor::full(DType::kF32, {2, 3}, 0.5);
  const Tensor y = model.predict(x, {.verbose = 0});
  model.save(path("m.keras"));
  expect_near({load_model(path("m.keras")).predict(x, {.verbose = 0})}, {y}, 0);
}

TEST_F(SavedModelTest, AnOperationWithoutALayerIsNamed) {
  const SymbolicTensor x = Input({.shape = {4}});
  const Model model({.inputs = {x}, .outputs = {x * 2.0}});
  expect_error(Code::kInvalidArgument, {"multiply", "registered"}, [&] { model.to_json(); });
}

TEST_F(SavedModelTest, ACloneHasTheSameLayersAndWeightsOfItsOwn) {
  const Sequential model = two_dense("a", "b");
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const Model clone = clone_model(model);
  EXPECT_FALSE(clone.model_impl().compiled());
  EXPECT_EQ(clone.get_layer("b").weights()[0].shape(), Shape({3, 3}));
  clone.set_weights(std::vector<Tensor>(clone.get_weights()));
  EXPECT_FALSE(clone.weights()[0] == model.weights()[0]);
}

TEST_F(SavedModelTest, RefusesHostileFilesWithBoundedMemory) {
  const auto refused = [](const std::string& name, Code code,
                          std::initializer_list<std::string_view> parts) {
    SCOPED_TRACE(name);
    expect_error(code, parts, [&] { load_model(kFiles + "hostile_" + name + ".keras"); });
  };
  refused("config_bomb", Code::kResourceExhausted, {"config.json", "41943040"});
  refused("weights_bomb", Code::kResourceExhausted, {"model.weights.h5", "69206016"});
  refused("parent_path", Code::kDataLoss, {"../evil"});
  refused("absolute_path", Code::kDataLoss, {"/tmp/evil"});
  refused("depth", Code::kResourceExhausted, {"config.json", "256"});
  refused("huge_layer", Code::kDataLoss, {"d/kernel", "1099511627776"});
  refused("no_hdf5", Code::kDataLoss, {"HDF5"});
  refused("lambda", Code::kInvalidArgument, {"Lambda"});
  EXPECT_THROW(load_model(kFiles + "hostile_huge_input.keras"), Error);
  expect_error(Code::kNotFound, {"none.keras"}, [&] { load_model(path("none.keras")); });
  expect_error(Code::kInvalidArgument, {".keras"}, [&] { load_model(path("none.h5")); });
}

TEST_F(SavedModelTest, DamagedFilesGiveTypedErrors) {
  std::ifstream file(kFiles + "dense.keras", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::ofstream(path("d.keras"), std::ios::binary) << testing::damaged(bytes, random);
    try {
      load_model(path("d.keras"));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 30);
}

TEST(ModelJsonTest, DamagedDescriptionsGiveTypedErrors) {
  const SymbolicTensor x = Input({.shape = {4}, .name = "x"});
  const Layer dense = Dense{.units = 4, .name = "d"};
  const Model model({.inputs = {x}, .outputs = {Add{.name = "s"}({dense(x), dense(dense(x))})}});
  model.compile({.optimizer = Adam{}, .loss = "mse", .metrics = {"mae"}});
  const std::string json = model.to_json();
  EXPECT_EQ(model_from_json(json).to_json(), json);
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    try {
      model_from_json(testing::damaged(json, random));
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace cohort::nn
