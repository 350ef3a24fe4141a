// Our side of keras_weights.py:
//   keras_weights save MODEL FILE    weights of its own; prints what the model predicts
//   keras_weights load MODEL FILE    prints what it predicts with the file's
#include <cstdio>
#include <string>

#include "tests/support/weight_models.h"

namespace nn = cohort::nn;
namespace testing = cohort::testing;

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
    model.save_weights(argv[3]);
  }
  const cohort::Tensor y =
      model.predict_all(testing::weight_model_inputs(argv[2]), {.verbose = 0}).front();
  for (int64_t i = 0; i < y.num_elements(); ++i) std::printf("%.9g\n", y.data<float>()[i]);
} catch (const cohort::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
