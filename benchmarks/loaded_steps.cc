// What a training step costs a device of several threads while other processes take the processors:
// an MLP 784-128-10, batch 256, alone and beside one busy process for each processor.
//   loaded_steps [threads] [seconds]
// Compare with GOMP_SPINCOUNT=300000, which is what libgomp does by itself.
#include <fmt/core.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <vector>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/nn.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

/// Processes that do nothing but compute, one on each processor, until this ends.
class BusyProcesses {
 public:
  explicit BusyProcesses(int count) {
    for (int i = 0; i < count; ++i) children_.push_back(start(i));
  }
  ~BusyProcesses() {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

 private:
  static pid_t start(int processor) {
    const pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof set, &set);
    for (volatile uint64_t n = 0;;) n = n + 1;
  }

  std::vector<pid_t> children_;
};

void measure(const char* what, const nn::Sequential& model, const Tensor& x, const Tensor& y,
             double seconds) {
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    const auto begin = Clock::now();
    model.train_on_batch(x, y);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count());
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))];
  };
  fmt::print("{:8} {:8.1f} steps/s; least {:7.3f} ms, median {:7.3f}, 90 % {:7.3f}, 99 % {:7.3f}\n",
             what, static_cast<double>(times.size()) / seconds, at(0), at(0.5), at(0.9), at(0.99));
}

}  // namespace

int main(int argc, char** argv) try {
  const int processors = num_cpu_cores();
  const int threads = argc > 1 ? std::atoi(argv[1]) : processors;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  default_runtime().set_logical_cpu_devices(1, threads);
  const nn::Sequential model({nn::Input({.shape = {784}}),
                              nn::Dense{.units = 128, .activation = "relu"},
                              nn::Dense{.units = 10}});
  model.compile(
      {.optimizer = nn::Adam(), .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  Tensor x(DType::kF32, {256, 784});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(i * 7919 % 256) / 255.0f;
  const Tensor y(DType::kI64, {256});
  model.train_on_batch(x, y);
  const char* rounds = std::getenv("GOMP_SPINCOUNT");
  fmt::print("{} threads, {} processors, GOMP_SPINCOUNT {}\n", threads, processors,
             rounds ? rounds : "not set");
  measure("alone", model, x, y, seconds);
  {
    const BusyProcesses busy(processors);
    measure("beside", model, x, y, seconds);
  }
  return 0;
} catch (const cohort::Error& error) {
  fmt::print(stderr, "loaded_steps: {}\n", error.what());
  return 1;
}
