#include "cohort/nn/saving/serialization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cohort/cohort.h"
#include "cohort/nn/saving/keras_classes.h"
#include "cohort/nn/saving/saved_model.h"
#include "tests/golden/golden.h"
#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;

/// Whether each member that we write is Keras'; its numbers may have been rounded to f32.
void expect_same(const std::string& where, const Config& ours, const Config& theirs) {
  if (ours.is_number() && theirs.is_number()) {
    EXPECT_NEAR(ours.as_number(), theirs.as_number(), 1e-6 * std::abs(theirs.as_number())) << where;
  } else if (ours.is_object()) {
    for (const auto& [name, value] : ours.as_object()) {
      const Config* other = theirs.find(name);
      // What Keras writes only where it is given, and what its CosineSimilarity forgets.
      if (other) {
        expect_same(where + ": " + name, value, *other);
      } else {
        EXPECT_TRUE(value.is_null() || name == "gain" || name == "from_sorted_ids" ||
                    where == "keras.metrics.CosineSimilarity: config")
            << where << ": " << name;
      }
    }
  } else if (ours.is_list() && theirs.is_list() &&
             ours.as_list().size() == theirs.as_list().size()) {
    for (size_t i = 0; i < ours.as_list().size(); ++i)
      expect_same(where, ours.as_list()[i], theirs.as_list()[i]);
  } else {
    EXPECT_EQ(ours.to_json(), theirs.to_json()) << where;
  }
}

template <class Handle>
void expect_comes_back(const std::string& name, const Config& theirs) {
  expect_same(name, serialize(deserialize<Handle>(theirs)), theirs);
}

TEST(SerializationTest, ObjectsOfEveryClassAreDescribedAsByKeras) {
  const testing::Golden golden("keras_configs");
  for (const internal::SavedClass& known : internal::keras_classes()) {
    const std::string name = known.module + "." + known.name;
    SCOPED_TRACE(name);
    const Config theirs = Config::parse(golden.text(name), name);
    if (known.module == "keras.layers") expect_comes_back<Layer>(name, theirs);
    if (known.module == "keras.losses") expect_comes_back<Loss>(name, theirs);
    if (known.module == "keras.metrics") expect_comes_back<Metric>(name, theirs);
    if (known.module == "keras.optimizers") expect_comes_back<Optimizer>(name, theirs);
    if (known.module == "keras.optimizers.schedules")
      expect_comes_back<LearningRateSchedule>(name, theirs);
    if (known.module == "keras.initializers") expect_comes_back<Initializer>(name, theirs);
    if (known.module == "keras.regularizers") expect_comes_back<Regularizer>(name, theirs);
    if (known.module == "keras.constraints") expect_comes_back<Constraint>(name, theirs);
  }
}

Config described_dense() {
  return serialize(Layer(Dense{.units = 3, .activation = "relu", .name = "d"}));
}
/// The same with another member in its config.
Config dense_with(const std::string& member, Config value) {
  Config described = described_dense();
  Config config = described.at("config");
  config.set(member, std::move(value));
  described.set("config", std::move(config));
  return described;
}

TEST(SerializationTest, RefusesWhatCohortLacksAndWhatNobodyKnows) {
  EXPECT_EQ(deserialize<Layer>(dense_with("lora_rank", Config())).name(), "d");
  expect_error(Code::kInvalidArgument, {"Dense", "lora_rank", "4"},
               [] { deserialize<Layer>(dense_with("lora_rank", 4)); });
  expect_error(Code::kInvalidArgument, {"Dense", "units", "a text"},
               [] { deserialize<Layer>(dense_with("units", "many")); });
  expect_error(Code::kInvalidArgument, {"units", "0"},
               [] { deserialize<Layer>(dense_with("units", 0)); });
  Config unknown = described_dense();
  unknown.set("class_name", "__lambda__");
  expect_error(Code::kInvalidArgument, {"__lambda__", "registered"},
               [&] { deserialize<Layer>(unknown); });
  expect_error(Code::kInvalidArgument, {"Dense", "want a loss"},
               [] { deserialize<Loss>(described_dense()); });
  Config conv = serialize(Layer(Conv2D{.filters = 1, .kernel_size = 2}));
  Config config = conv.at("config");
  config.set("data_format", "channels_first");
  conv.set("config", config);
  expect_error(Code::kInvalidArgument, {"data_format", "channels_first", "channels_last"},
               [&] { deserialize<Layer>(conv); });
}

TEST(SerializationTest, SaysWhatWasMadeOfAFunction) {
  const Layer layer = Dense{.units = 1, .activation = [](Value x) { return x; }, .name = "odd"};
  expect_error(Code::kInvalidArgument, {"activation", "without a name"}, [&] { serialize(layer); });
  const Layer penalised =
      Dense{.units = 1, .kernel_regularizer = Regularizer([](Value x) { return x; })};
  expect_error(Code::kInvalidArgument, {"kernel_regularizer", "function"},
               [&] { serialize(penalised); });
}

TEST(SerializationTest, TellsTheStateOfNow) {
  const Layer layer = Dense{.units = 1};
  layer.set_trainable(false);
  EXPECT_FALSE(serialize(layer).at("config").at("trainable").as_bool());
  const Optimizer optimizer = SGD{.learning_rate = 0.5};
  optimizer.set_learning_rate(0.25);
  EXPECT_EQ(serialize(optimizer).at("config").at("learning_rate").as_number(), 0.25);
}

class ScaleImpl : public LayerImpl {
 public:
  template <class Options>
  explicit ScaleImpl(const Options& options)
      : LayerImpl("Scale", common_options(options)), factor_(options.factor) {}
  std::vector<Value> call(const CallArgs& args) override { return {args.input() * factor_}; }

 private:
  double factor_;
};
struct Scale {
  double factor = 1;
  std::vector<int64_t> unused = {};
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";
  operator Layer() const { return make<ScaleImpl>(*this); }
};

/// Of a class that nobody registers.
struct Unknown {
  double factor = 1;
  bool trainable = true;
  DTypePolicy dtype = {};
  std::string name = "";
  operator Layer() const { return make<ScaleImpl>(*this); }
};

/// Tests run in one process, in any order and number.
void register_scale() {
  if (!object_registry().of_options(typeid(Scale))) register_serializable<Scale>("Scale", "Tests");
}

TEST(SerializationTest, OptionsOfAUsersClassAreItsFieldList) {
  register_scale();
  const Layer layer = Scale{.factor = 3, .unused = {1, 2}};
  expect_error(Code::kInvalidArgument, {"odd", "register"},
               [] { serialize(Layer(Unknown{.name = "odd"})); });
  const Sequential model({Input({.shape = {2}}), layer});
  const Config described = serialize(layer);
  EXPECT_EQ(described.at("registered_name").as_text(), "Tests>Scale");
  EXPECT_TRUE(described.at("module").is_null());
  EXPECT_EQ(described.at("config").at("factor").as_number(), 3);
  const Model back = model_from_json(model.to_json());
  EXPECT_EQ(back.predict(Tensor::full(DType::kF32, {1, 2}, 2), {.verbose = 0}).data<float>()[0], 6);
  expect_error(Code::kAlreadyExists, {"Tests>Scale"},
               [] { register_serializable<Scale>("Scale", "Tests"); });
}

TEST(SerializationTest, CustomObjectsComeFirst) {
  Config described = serialize(Layer(Dense{.units = 3}));
  described.set("module", Config());
  described.set("class_name", "Mine");
  described.set("registered_name", "Other>Mine");
  described.set("config", Config::members({{"factor", 5}}));
  expect_error(Code::kInvalidArgument, {"Mine"}, [&] { deserialize<Layer>(described); });
  ObjectRegistry mine;
  mine.add<Scale>("Mine", "Other");
  const Layer layer = deserialize<Layer>(described, mine);
  EXPECT_EQ(layer->type_name(), "Scale");
}

class Classifier : public ModelImpl {
 public:
  explicit Classifier(int64_t units) : ModelImpl("Classifier"), units_(units) {}
  std::vector<Value> call(const CallArgs& args) override { return {head_(args.input())}; }
  Config get_config() const override { return Config::members({{"units", units_}}); }

 private:
  int64_t units_;
  Layer head_ = child("head", Dense{.units = units_});
};

TEST(SerializationTest, AModelOfAUsersClassSaysWhatItIsMadeOf) {
  const Model model = make<Classifier>(3);
  if (!object_registry().of_layers("Classifier"))
    register_serializable("Classifier", [](const Config& config) -> Layer {
      return make<Classifier>(config.at("units").as_int());
    });
  const Model back = model_from_json(model.to_json());
  EXPECT_EQ(back.predict(Tensor(DType::kF32, {2, 4}), {.verbose = 0}).shape(), Shape({2, 3}));
}

}  // namespace
}  // namespace cohort::nn
