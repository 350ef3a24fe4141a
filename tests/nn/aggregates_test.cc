// Layers and the like as aggregates of their options.
#include <gmock/gmock.h>

#include "cohort/core/fields.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using ::testing::ElementsAre;

template <class T>
std::vector<std::string> names_of(const T& options) {
  std::vector<std::string> names;
  for_each_field(options, [&](std::string_view name, const auto&) { names.emplace_back(name); });
  return names;
}

TEST(FieldsTest, AreNamedInTheOrderOfTheirDeclaration) {
  EXPECT_THAT(names_of(Dropout{.rate = 0.5}),
              ElementsAre("rate", "seed", "trainable", "dtype", "name"));
  EXPECT_THAT(names_of(metrics::BinaryAccuracy{}), ElementsAre("name", "threshold"));
  EXPECT_THAT(names_of(regularizers::L1{}), ElementsAre("l1"));
  EXPECT_THAT(names_of(LambdaCallback{}).size(), 6);
  EXPECT_THAT(names_of(BatchNormalization{}).size(), 17);
  const std::vector<std::string> conv = names_of(Conv2D{.filters = 1, .kernel_size = 2});
  EXPECT_EQ(conv.front(), "filters");
  EXPECT_EQ(conv.back(), "name");
}

TEST(FieldsTest, AreTheObjectsOwn) {
  Rescaling rescaling{.scale = 2};
  for_each_field(rescaling, [](std::string_view name, auto& field) {
    if constexpr (std::is_same_v<decltype(field), double&>)
      if (name == "offset") field = 3;
  });
  EXPECT_EQ(rescaling.offset, 3);
  EXPECT_EQ(rescaling.scale, 2);
}

TEST(AggregatesTest, EachConversionMakesANewLayerAndAHandleSharesIts) {
  clear_session();
  const Dense dense{.units = 2};
  const Layer first = dense, second = dense, shared = first;
  EXPECT_EQ(first.name(), "dense");
  EXPECT_EQ(second.name(), "dense_1");
  EXPECT_TRUE(shared == first);
  EXPECT_FALSE(second == first);
}

TEST(AggregatesTest, AreTakenWhereverTheirHandleIs) {
  clear_session();
  const auto x = Input({.shape = {4}});
  const auto y = Dense({.units = 4})(Dense{.units = 4, .activation = "relu"}(x));
  const auto z = Concatenate{}({y, Dropout{.rate = 0.5}(x, {.training = true})});
  const Model model({.inputs = {x}, .outputs = {Dense{.units = 1}(z)}});
  model.compile(
      {.optimizer = SGD({.learning_rate = schedules::CosineDecay{.initial_learning_rate = 0.1,
                                                                 .decay_steps = 4}}),
       .loss = MeanSquaredError{.reduction = "sum"},
       .metrics = {metrics::MeanAbsoluteError{.name = "off"}, "mse"}});
  const History history =
      model.fit(Tensor(DType::kF32, {4, 4}), Tensor(DType::kF32, {4, 1}),
                {.verbose = 0, .callbacks = {TerminateOnNaN{}, EarlyStopping{.monitor = "loss"}}});
  EXPECT_EQ(history["off"].size(), 1);
  EXPECT_EQ(history["mse"].size(), 1);
}

}  // namespace
}  // namespace cohort::nn
