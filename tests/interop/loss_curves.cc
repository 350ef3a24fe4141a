// Our side of loss_curves.py: trains on Fashion-MNIST from the weights of a file, without
// shuffling, and prints the loss of each epoch.
//   loss_curves RECIPE DATA_DIR WEIGHTS ROWS EPOCHS
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;

namespace {

struct Recipe {
  const char* policy;
  nn::Optimizer (*optimizer)();
};

const std::map<std::string, Recipe> kRecipes{
    {"rmsprop", {"float32", [] { return nn::Optimizer(nn::RMSprop{.learning_rate = 1e-3}); }}},
    {"adamw",
     {"float32",
      [] { return nn::Optimizer(nn::AdamW{.learning_rate = 1e-3, .weight_decay = 0.01}); }}},
    {"mixed_bfloat16",
     {"mixed_bfloat16", [] { return nn::Optimizer(nn::Adam{.learning_rate = 1e-3}); }}},
    {"mixed_float16",
     {"mixed_float16", [] { return nn::Optimizer(nn::Adam{.learning_rate = 1e-3}); }}},
};

}  // namespace

int main(int argc, char** argv) try {
  const auto recipe = kRecipes.find(argc > 1 ? argv[1] : "");
  if (argc < 6 || recipe == kRecipes.end()) return 2;
  nn::set_dtype_policy(recipe->second.policy);
  const nn::Model model = nn::Sequential(
      {nn::Input({.shape = {28, 28}}), nn::Flatten{}, nn::Dense{.units = 128, .activation = "relu"},
       nn::Dense{.units = 64, .activation = "relu"}, nn::Dense{.units = 10, .dtype = "float32"}});
  model.load_weights(argv[3]);
  model.compile({.optimizer = recipe->second.optimizer(),
                 .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  const auto [train, test] = data::load_mnist_files(argv[2]);
  const data::Dataset rows = train.take(std::atoll(argv[4])).map([](const data::Element& row) {
    cohort::Tensor image = row[0].cast(cohort::DType::kF32);
    for (int64_t i = 0; i < image.num_elements(); ++i) image.data<float>()[i] /= 255;
    return data::Element{image, row[1]};
  });
  const nn::History history =
      model.fit(rows.batch(128), {.epochs = std::atoi(argv[5]), .verbose = 0});
  for (const double loss : history["loss"]) std::printf("%.9g\n", loss);
} catch (const cohort::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
