// How fast state is saved and restored: checkpoint_speed CASE DIRECTORY [MIB [ROUNDS]]. Prints a
// line for each round, "CASE seconds bytes", and for beside_training what checkpoint.sh reads.
//   save              Checkpoint::save of so many MiB, until it survives a crash
//   restore           Checkpoint::restore into variables that are there, from the page cache
//   memcpy            as many bytes from the page cache into fresh huge pages
//   beside_training   "unit seconds", of a one-thread memcpy of the state; "step seconds", of a
//                     step; "added seconds", what an asynchronous save adds to the steps around it;
//                     "memory states", the most memory that saves took, in states
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "benchmarks/private_memory.h"
#include "benchmarks/spread.h"
#include "cohort/cohort.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

constexpr int kTensors = 16;

struct Case {
  std::string name, directory;
  size_t bytes;
  int rounds;
};

double seconds_of(const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void say(const std::string& name, double value) {
  fmt::print("{} {:.6f}\n", name, value);
  std::fflush(stdout);
}

std::vector<std::pair<std::string, nn::Trackable>> state_of(size_t bytes) {
  std::vector<std::pair<std::string, nn::Trackable>> state;
  const auto elements = static_cast<int64_t>(bytes / kTensors / sizeof(float));
  for (int i = 0; i < kTensors; ++i) {
    Tensor value(DType::kF32, Shape{elements});
    for (int64_t k = 0; k < elements; ++k)
      value.data<float>()[k] = static_cast<float>(k * 7919 % 65521) * 1e-5f;
    state.emplace_back(fmt::format("tensor_{}", i), nn::Variable(value));
  }
  return state;
}

/// Files that were written are on the disk before a round, so that rounds do not share its work.
void settle(const Case& of) {
  std::filesystem::remove_all(of.directory);
  sync();
}

void save(const Case& of) {
  const nn::Checkpoint checkpoint(state_of(of.bytes));
  for (int round = 0; round < of.rounds; ++round) {
    settle(of);
    say("save", seconds_of([&] { checkpoint.save(of.directory); }));
  }
}

void restore(const Case& of) {
  const nn::Checkpoint checkpoint(state_of(of.bytes));
  settle(of);
  checkpoint.save(of.directory);
  for (int round = 0; round < of.rounds + 1; ++round) {
    const double seconds = seconds_of([&] { checkpoint.restore(of.directory).assert_consumed(); });
    if (round > 0) say("restore", seconds);
  }
}

void copy_memory(const Case& of) {
  settle(of);
  std::filesystem::create_directories(of.directory);
  const std::string path = of.directory + "/bytes";
  std::ofstream(path, std::ios::binary) << std::string(of.bytes, 'x');
  for (int round = 0; round < of.rounds + 1; ++round) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    void* from = mmap(nullptr, of.bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (from == MAP_FAILED) throw Internal("memcpy: {}: got no mapping", path);
    float* to = private_memory(of.bytes);
    const double seconds = seconds_of([&] { std::memcpy(to, from, of.bytes); });
    munmap(from, of.bytes);
    munmap(to, of.bytes);
    close(file);
    if (round > 0) say("memcpy", seconds);
  }
}

/// In bytes: "VmRSS", or "VmHWM", the most since forget_peak().
double memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stod(line.substr(field.size() + 1)) * 1024;
  throw Internal("/proc/self/status: got no {}", field);
}

void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

/// A model with so much state, whose step takes a few copies of it.
nn::Model model_of(size_t bytes) {
  const auto units = static_cast<int64_t>(std::sqrt(static_cast<double>(bytes) / 3 / 4 / 2));
  nn::Sequential model({nn::Input({.shape = {units}}),
                        nn::Dense{.units = units, .activation = "relu"},
                        nn::Dense{.units = units}});
  model.compile({.optimizer = nn::Adam(), .loss = "mse"});
  return model;
}

double seconds_of_copy(size_t bytes, int rounds) {
  const float* from = private_memory(bytes);
  float* to = private_memory(bytes);
  std::vector<double> copies;
  for (int round = 0; round < rounds + 1; ++round)
    copies.push_back(seconds_of([&] { std::memcpy(to, from, bytes); }));
  copies.erase(copies.begin());
  return Spread(copies).median;
}

void beside_training(const Case& of) {
  settle(of);
  const nn::Model model = model_of(of.bytes);
  const int64_t units = model.get_weights()[1].num_elements();
  const Tensor x = Tensor::full(DType::kF32, Shape{256, units}, 0.5),
               y = Tensor::full(DType::kF32, Shape{256, units}, 0.1);
  const auto step = [&] { model.train_on_batch(x, y); };
  for (int i = 0; i < 3; ++i) step();
  const double unit = seconds_of_copy(of.bytes, of.rounds);
  nn::CheckpointManager manager(
      nn::Checkpoint({{"model", model}}),
      {.directory = of.directory, .max_to_keep = 1, .asynchronous = true});
  // A save, and steps until its files are there: beside as many steps without one.
  constexpr int kSteps = 8;
  std::vector<double> plain, saving, states;
  for (int round = 0; round < of.rounds + 1; ++round) {
    manager.wait();
    plain.push_back(seconds_of([&] {
      for (int i = 0; i < kSteps; ++i) step();
    }));
    const double before = memory("VmRSS");
    forget_peak();
    saving.push_back(seconds_of([&] {
      manager.save();
      for (int i = 0; i < kSteps; ++i) step();
    }));
    manager.wait();
    states.push_back((memory("VmHWM") - before) / static_cast<double>(of.bytes));
  }
  for (auto* values : {&plain, &saving, &states}) values->erase(values->begin());
  const double step_seconds = Spread(plain).median / kSteps;
  say("unit", unit);
  say("step", step_seconds);
  say("added", Spread(saving).median - Spread(plain).median);
  say("memory", Spread(states).median);
}

int run(int argc, char** argv) {
  const std::map<std::string, void (*)(const Case&)> cases{{"save", save},
                                                           {"restore", restore},
                                                           {"memcpy", copy_memory},
                                                           {"beside_training", beside_training}};
  const auto found = argc > 2 ? cases.find(argv[1]) : cases.end();
  if (found == cases.end())
    throw InvalidArgument(
        "got {}; want save, restore, memcpy or beside_training, and a directory, which is removed",
        argc > 1 ? argv[1] : "nothing");
  Case of{.name = argv[1],
          .directory = argv[2],
          .bytes = static_cast<size_t>(argc > 3 ? std::atoll(argv[3]) : 1000) << 20,
          .rounds = argc > 4 ? std::atoi(argv[4]) : 5};
  found->second(of);
  std::filesystem::remove_all(of.directory);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("checkpoint_speed", [&] { return run(argc, argv); });
}
