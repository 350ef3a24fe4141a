// The tables against the texts that Keras printed.
#include <fstream>
#include <sstream>

#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

std::string recorded(const std::string& name) {
  std::ifstream file(std::string(COHORT_SOURCE_DIR) + "/tests/golden/summary_" + name + ".txt");
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  while (!all.empty() && all.back() == '\n') all.pop_back();
  return all + "\n";
}

std::string printed(const Model& model) { return model.summary_text({.line_length = 80}); }

class SummaryTest : public ::testing::Test {
 protected:
  void SetUp() override { clear_session(); }
};

TEST_F(SummaryTest, Cnn) {
  const Sequential model(
      {Input({.shape = {28, 28, 1}}),
       Conv2D({.filters = 32, .kernel_size = 3, .padding = "same", .activation = "relu"}),
       MaxPooling2D(),
       Conv2D({.filters = 64, .kernel_size = 3, .padding = "same", .activation = "relu"}),
       MaxPooling2D(), Flatten(), Dense({.units = 128, .activation = "relu"}),
       Dense({.units = 10})},
      {.name = "cnn"});
  EXPECT_EQ(printed(model), recorded("cnn"));
}

TEST_F(SummaryTest, CountsTheOptimizerOnceItHasTrained) {
  const Sequential model({Input({.shape = {28, 28}}), Flatten(),
                          Dense({.units = 128, .activation = "relu"}), Dropout({.rate = 0.2}),
                          Dense({.units = 10})});
  model.compile({.optimizer = "adam", .loss = "mse"});
  model.train_on_batch(Tensor(DType::kF32, {2, 28, 28}), Tensor(DType::kF32, {2, 10}));
  EXPECT_EQ(printed(model), recorded("trained"));
}

TEST_F(SummaryTest, FunctionalModelShowsConnections) {
  const auto a = Input({.shape = {8}, .name = "a"}), b = Input({.shape = {4}, .name = "b"});
  const Layer shared =
      Dense{.units = 6, .activation = "relu", .name = "shared_layer_with_quite_a_long_name"};
  const auto joined = Concatenate({.name = "join"})({shared(a), Dense({.units = 6})(b)});
  const auto normed = BatchNormalization()(joined);
  const Model model({.inputs = {a, b},
                     .outputs = {Add({.name = "sum"})({normed, joined})},
                     .name = "two_towers"});
  EXPECT_EQ(printed(model), recorded("functional"));
}

TEST_F(SummaryTest, FrozenLayersCountAsNonTrainable) {
  const Sequential model(
      {Input({.shape = {5}}), Dense({.units = 3}), BatchNormalization(), Dense({.units = 2})},
      {.name = "frozen"});
  model.layers()[0].set_trainable(false);
  EXPECT_EQ(printed(model), recorded("frozen"));
}

TEST_F(SummaryTest, UnbuiltLayersHaveNoShape) {
  const Sequential model({Dense({.units = 3}), Dense({.units = 2})}, {.name = "unbuilt"});
  EXPECT_EQ(printed(model), recorded("unbuilt"));
}

TEST_F(SummaryTest, ShowsTrainableAndNestedLayers) {
  const Sequential inner({Input({.shape = {4}}), Dense({.units = 3})}, {.name = "inner"});
  const Sequential model({Input({.shape = {4}}), inner, Dense({.units = 2})}, {.name = "outer"});
  inner.set_trainable(false);
  const std::string text =
      model.summary_text({.line_length = 80, .expand_nested = true, .show_trainable = true});
  EXPECT_NE(text.find("└ dense (Dense)"), std::string::npos) << text;
  EXPECT_NE(text.find("Trainable"), std::string::npos);
  EXPECT_NE(text.find(" N "), std::string::npos);
}

}  // namespace
}  // namespace cohort::nn
