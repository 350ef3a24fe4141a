// From the start of the process to the end of its first training step: a small MLP, as a whole
// process. Prints the time that the kernel's clock has counted since the process began.

#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace {

/// Seconds between boot and the start of this process, to the kernel's tick (10 ms); finer: run it
/// under `perf stat`.
double started_after_boot() {
  std::ifstream stat("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;  // starttime is the 20th behind the command's name
  return std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

int main() try {
  using namespace cohort;
  const nn::Model model =
      nn::Sequential({nn::Input({.shape = {64}}), nn::Dense{.units = 64, .activation = "relu"},
                      nn::Dense{.units = 64, .activation = "relu"}, nn::Dense{.units = 10}});
  model.compile(
      {.optimizer = nn::Adam(), .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  model.train_on_batch(Tensor::full(DType::kF32, Shape{32, 64}, 0.5),
                       Tensor(DType::kI32, Shape{32}));
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  fmt::print("{:.0f} ms\n", (static_cast<double>(now.tv_sec) +
                             static_cast<double>(now.tv_nsec) / 1e9 - started_after_boot()) *
                                1e3);
} catch (const cohort::Error& error) {
  fmt::print(stderr, "first_step: {}\n", error.what());
  return 1;
}
