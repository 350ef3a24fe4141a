#include "tests/worker_program/metrics.h"

#include "cohort/cohort.h"
#include "tests/worker_program/say.h"

namespace cohort {

void fit_with_metrics(const distribute::Strategy& strategy) {
  constexpr int64_t kRows = 50;  // batches of 16, the last one of 2
  Tensor x(DType::kF32, {kRows, 3}), y(DType::kF32, {kRows, 2}), weights(DType::kF32, {kRows});
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t k = 0; k < 3; ++k)
      x.data<float>()[3 * i + k] = static_cast<float>((i * (k + 5) + k) % 17) / 17 - 0.5f;
    for (int64_t k = 0; k < 2; ++k) y.data<float>()[2 * i + k] = (i * (k + 3)) % 5 < 2 ? 1 : 0;
    weights.data<float>()[i] = static_cast<float>(i % 4) / 3;
  }
  const nn::Model model = strategy.scope([] {
    const nn::Model model =
        nn::Sequential({nn::Input({.shape = {3}}), nn::Dense{.units = 2, .activation = "sigmoid"}});
    model.compile({.optimizer = nn::SGD({.learning_rate = 0.5}),
                   .loss = "binary_crossentropy",
                   .metrics = {"mae", nn::Precision{.thresholds = {0.4, 0.5, 0.6}}, nn::AUC{},
                               nn::F1Score{.threshold = 0.5}},
                   .weighted_metrics = {nn::RootMeanSquaredError{}, nn::Recall{},
                                        nn::AUC{.curve = "PR", .multi_label = true}}});
    return model;
  });
  const auto dataset = data::Dataset::from_tensor_slices({x, y, weights}).batch(16);
  const nn::History history = model.fit(dataset, {.epochs = 2, .verbose = 0});
  std::string all;
  for (const auto& [name, value] : model.evaluate(dataset, {.verbose = 0})) {
    all += fmt::format(" {} {:.17g} {:.17g}", name, history[name].back(), value);
  }
  say("metrics", all);
}

}  // namespace cohort
