// Our side of keras_weights.py:
//   keras_weights save MODEL FILE    weights of its own; prints what the model predicts
//   keras_weights load MODEL FILE    prints what it predicts with the file's
#include <cstdio>
#include <optional>
#include <string>

#include "tests/support/weight_models.h"

namespace nn = cohort::nn;
namespace testing = cohort::testing;

constexpr double kShardSize = 600.0 / (1 << 30);

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "";
  if (argc < 4 || (what != "save" && what != "load")) return 2;
  const nn::Model model = testing::make_weight_model(argv[2]);
  if (what == "load") {
    model.load_weights(argv[3]);
  } else {
    int64_t n = 0;  // positive ones, as variances must be
    for (const nn::Variable& weight : model.weights()) {
      cohort::Tensor value(weight.dtype(), weight.shape());
      for (int64_t i = 0; i < value.num_elements(); ++i)
        value.data<float>()[i] = 0.1f + static_cast<float>(n++ * 53 % 89) / 110;
      weight.assign(value);
    }
    const bool in_several_files = std::string(argv[3]).ends_with(".weights.json");
    model.save_weights(
        argv[3], {.max_shard_size = in_several_files ? std::optional(kShardSize) : std::nullopt});
  }
  const cohort::Tensor y =
      model.predict_all(testing::weight_model_inputs(argv[2]), {.verbose = 0}).front();
  for (int64_t i = 0; i < y.num_elements(); ++i) std::printf("%.9g\n", y.data<float>()[i]);
} catch (const cohort::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
