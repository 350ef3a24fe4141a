// A step of each sharding beside the replicated one: two workers of one thread, Dense layers with
// about 32 million parameters, Adam. Blocks of steps of the kinds take turns; one line for each:
// median microseconds of a step, of processor time and of the clock, over those of "none", and the
// bytes that one device holds.

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace {

using namespace cohort;

constexpr int kWorkers = 2, kSteps = 4;
constexpr int64_t kWidth = 2048, kLayers = 8, kRows = 8 * kWorkers;

/// Becomes the workers of one job: the others are copies of this process and end with it.
int start_workers() {
  const std::string job = fmt::format("sharded_steps-{}", getpid());
  int rank = 0;
  for (int other = 1; other < kWorkers && rank == 0; ++other)
    if (fork() == 0) rank = other;
  if (rank > 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), 1);
  };
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"})
    set(name, std::to_string(kWorkers));
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"})
    set(name, std::to_string(rank));
  set("PMIX_NAMESPACE", job);
  return rank;
}

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Trainer {
 public:
  explicit Trainer(const std::string& sharding)
      : name_(sharding),
        strategy_(distribute::MultiWorkerMirroredStrategy(
            {.sharding = distribute::parse_sharding(sharding)})) {
    nn::set_random_seed(1);
    strategy_.scope([&] {
      std::vector<nn::Layer> layers{nn::Input({.shape = {kWidth}})};
      for (int64_t i = 0; i < kLayers; ++i)
        layers.push_back(nn::Dense{.units = kWidth, .activation = "relu"});
      model_ = nn::Sequential(layers);
      model_->compile({.optimizer = nn::Adam({.learning_rate = 1e-4}), .loss = "mse"});
    });
    data_ = data::Dataset::from_tensor_slices(
                {Tensor(DType::kF32, {kRows, kWidth}), Tensor(DType::kF32, {kRows, kWidth})})
                .repeat()
                .batch(kRows);
  }

  void run_block(bool counts) {
    const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), clock = seconds_of(CLOCK_MONOTONIC);
    model_->fit(
        *data_,
        {.epochs = epoch_ + 1, .verbose = 0, .initial_epoch = epoch_, .steps_per_epoch = kSteps});
    ++epoch_;
    if (!counts) return;
    cpu_.push_back((seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / kSteps);
    clock_.push_back((seconds_of(CLOCK_MONOTONIC) - clock) / kSteps);
  }

  void report(const Trainer& base) const {
    std::vector<double> ratios, clock_ratios;
    for (size_t i = 0; i < cpu_.size(); ++i) {
      ratios.push_back(cpu_[i] / base.cpu_[i]);
      clock_ratios.push_back(clock_[i] / base.clock_[i]);
    }
    fmt::print("{:6} cpu {:9.0f} us, {:.3f} of none; clock {:9.0f} us, {:.3f} of none\n", name_,
               median(cpu_) * 1e6, median(ratios), median(clock_) * 1e6, median(clock_ratios));
  }

 private:
  std::string name_;
  distribute::Strategy strategy_;
  std::optional<nn::Model> model_;
  std::optional<data::Dataset> data_;
  int epoch_ = 0;
  std::vector<double> cpu_, clock_;
};

}  // namespace

int main(int argc, char** argv) try {
  const int blocks = argc > 1 ? std::stoi(argv[1]) : 7;
  std::vector<std::string> kinds(argv + std::min(argc, 2), argv + argc);
  if (kinds.empty()) kinds = {"none", "zero1"};
  const int rank = start_workers();
  default_runtime().set_logical_cpu_devices(1, 1);
  std::vector<std::unique_ptr<Trainer>> trainers;
  for (const std::string& kind : kinds) trainers.push_back(std::make_unique<Trainer>(kind));
  for (int block = 0; block <= blocks; ++block)
    for (auto& trainer : trainers) trainer->run_block(block > 0);
  if (rank == 0)
    for (auto& trainer : trainers) trainer->report(*trainers.front());
} catch (const cohort::Error& error) {
  fmt::print(stderr, "sharded_steps: {}\n", error.what());
  return 1;
}
