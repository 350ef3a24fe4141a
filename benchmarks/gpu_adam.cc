// Cohort's part in gpu/compare.py: nothing but the Adam update of 4 M parameters on the first GPU,
// in blocks, as protocol.md says.

#include <fmt/core.h>

#include <chrono>
#include <iostream>
#include <string>

#include "cohort/cohort.h"
#include "cohort/core/device/device.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/executable.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

constexpr int64_t kParameters = int64_t{4} << 20;

std::shared_ptr<VariableState> variable(const std::string& name, double value) {
  return std::make_shared<VariableState>(Tensor::full(DType::kF32, Shape{kParameters}, value),
                                         VariableOptions{.name = name});
}

double run_steps(Executable& step, Device& device, int64_t count) {
  const auto begin = Clock::now();
  for (int64_t i = 0; i < count; ++i) step.run();
  device.synchronize();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void serve(const std::string& name, const std::string& threads) {
  Runtime& runtime = default_runtime();
  Device& device = runtime.device("gpu:0");
  device.bind_thread();
  Graph graph(runtime.ops());
  const GraphScope scope(graph);
  const auto p = variable("p", 1), m = variable("m", 0), v = variable("v", 0);
  // Read from a variable, so that no gradient has to be copied to the device.
  const std::vector<Value> gradients = {graph.read(variable("gradient", 0.5))};
  const Value one = ops::constant(Tensor::scalar(int64_t{1}));
  ops::adam_update({p}, {m}, {v}, {}, gradients, ops::scalar(1e-3, DType::kF32),
                   ops::step_info(ops::StepField::kStep) + one,
                   ops::constant(Tensor::from(std::vector<bool>{true}, {})), {});
  const auto step = compile(runtime, graph, {}, {}, {.device = &device});
  run_steps(*step, device, 20);
  double each = run_steps(*step, device, 200) / 200;
  fmt::print("ready cohort recorded\n");
  std::fflush(stdout);
  std::string line;
  for (int round = 0; std::getline(std::cin, line); ++round) {
    if (!line.starts_with("go ")) continue;
    const auto steps = std::max<int64_t>(1, static_cast<int64_t>(std::stod(line.substr(3)) / each));
    each = run_steps(*step, device, steps) / static_cast<double>(steps);
    fmt::print("{} {} {} {:.3f} 0 0\n", name, threads, round, each * 1e6);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: gpu_adam adam_4m THREADS\n");
    return 2;
  }
  try {
    serve(argv[1], argv[2]);
  } catch (const Error& error) {
    fmt::print(stderr, "gpu_adam: {}\n", error.what());
    return 1;
  }
}
