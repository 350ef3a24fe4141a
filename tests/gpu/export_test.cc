// A function that was exported runs on a GPU like any other.
#include <unistd.h>

#include <filesystem>

#include "cohort/checkpoint/load_function.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/nn/nn.h"
#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuExportTest = GpuTest;

TEST_F(GpuExportTest, ALoadedFunctionGivesWhatPredictGives) {
  const std::string directory =
      std::filesystem::temp_directory_path() / ("cohort_gpu_export_" + std::to_string(::getpid()));
  nn::set_random_seed(3);
  const nn::Model model = distribute::OneDeviceStrategy("gpu:0").scope([] {
    return nn::Sequential({nn::Input({.shape = {6, 6, 3}}),
                           nn::Conv2D{.filters = 8, .kernel_size = 3, .activation = "relu"},
                           nn::BatchNormalization(), nn::Flatten(), nn::Dense{.units = 4}});
  });
  model.export_to(directory);
  const LoadedFunction function = load_function(directory);
  for (const int64_t rows : {1, 5, 32}) {
    const Tensor x = random_numbers(DType::kF32, Shape{rows, 6, 6, 3}, 5);
    expect_close(function(x)[0], model.predict(x, {.batch_size = rows, .verbose = 0}),
                 rounding(DType::kF32));
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace cohort::testing
