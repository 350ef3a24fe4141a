// Cohort's part in compare.sh: trains one case through Model::fit, in blocks, as protocol.md says.
// With COHORT_BENCH_WORKERS=N as one of N workers that it starts itself, each with the case's
// batch.

#include <fmt/core.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <thread>

#include "cohort/cohort.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

struct Case {
  std::string name;
  int64_t batch_size;
  double flops;  ///< of one step: 2 for each multiply and add of products and convolutions, forward
                 ///< and backward
  double bytes;  ///< of one step at least: parameters, slots and gradients of the update
};

/// Dense layers cost one product forward and two backward, the first layer one of the latter.
double dense_flops(int64_t rows, const std::vector<int64_t>& widths) {
  double flops = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i)
    flops += 2.0 * rows * widths[i] * widths[i + 1] * (i == 0 ? 2 : 3);
  return flops;
}

Case find_case(const std::string& name) {
  const double mlp_parameters = 784 * 128 + 128 + 128 * 10 + 10, adam = 7 * 4, momentum = 5 * 4;
  if (name == "mlp_b32") return {name, 32, dense_flops(32, {784, 128, 10}), mlp_parameters * adam};
  if (name == "mlp_b256")
    return {name, 256, dense_flops(256, {784, 128, 10}), mlp_parameters * adam};
  const double small_parameters = 2 * (64 * 64 + 64) + 64 * 10 + 10;
  if (name == "small_sgd")
    return {name, 32, dense_flops(32, {64, 64, 64, 10}), small_parameters * momentum};
  if (name == "small_adam")
    return {name, 32, dense_flops(32, {64, 64, 64, 10}), small_parameters * adam};
  if (name == "cnn_b64") {
    const double first = 2.0 * 64 * 28 * 28 * 9 * 1 * 32 * 2,
                 second = 2.0 * 64 * 14 * 14 * 9 * 32 * 64 * 3;
    const double dense = 3 * 2.0 * 64 * (3136 * 128 + 128 * 10);
    const double activations = 64.0 * 4 * (2 * 28 * 28 * 32 * 2 + 2 * 14 * 14 * 64 * 2);
    return {name, 64, first + second + dense, 421642 * adam + activations};
  }
  fmt::print(stderr,
             "train_steps: got case {}; want mlp_b32, mlp_b256, small_sgd, small_adam or cnn_b64\n",
             name);
  std::exit(2);
}

bool is_small(const Case& c) { return c.name.starts_with("small"); }

nn::Model make_model(const Case& c) {
  if (c.name == "cnn_b64")
    return nn::Sequential(
        {nn::Input({.shape = {28, 28, 1}}),
         nn::Conv2D{.filters = 32, .kernel_size = 3, .padding = "same", .activation = "relu"},
         nn::MaxPooling2D{},
         nn::Conv2D{.filters = 64, .kernel_size = 3, .padding = "same", .activation = "relu"},
         nn::MaxPooling2D{}, nn::Flatten{}, nn::Dense{.units = 128, .activation = "relu"},
         nn::Dense{.units = 10}});
  if (is_small(c))
    return nn::Sequential({nn::Input({.shape = {64}}), nn::Dense{.units = 64, .activation = "relu"},
                           nn::Dense{.units = 64, .activation = "relu"}, nn::Dense{.units = 10}});
  return nn::Sequential({nn::Input({.shape = {784}}), nn::Dense{.units = 128, .activation = "relu"},
                         nn::Dropout{.rate = 0.2}, nn::Dense{.units = 10}});
}

data::Dataset make_dataset(const Case& c) {
  if (is_small(c)) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    Tensor x(DType::kF32, Shape{32, 64}), y(DType::kI32, Shape{32});
    for (int64_t i = 0; i < x.num_elements(); ++i) x.data<float>()[i] = normal(random);
    for (int64_t i = 0; i < 32; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(random() % 10);
    return data::Dataset::from_tensors({x, y}).repeat();
  }
  const char* directory = std::getenv("COHORT_DATA_DIR");
  auto [train, test] =
      data::load_mnist_files(directory ? directory : "/usr/share/datasets/fashion-mnist");
  Tensor x(DType::kF32, c.name == "cnn_b64" ? Shape{60000, 28, 28, 1} : Shape{60000, 784}),
      y(DType::kI32, Shape{60000});
  int64_t row = 0;
  for (const data::Element& example : train.iterate()) {
    for (int64_t i = 0; i < 784; ++i)
      x.data<float>()[row * 784 + i] = static_cast<float>(example[0].data<uint8_t>()[i]) / 255;
    y.data<int32_t>()[row++] = *example[1].data<uint8_t>();
  }
  return data::Dataset::from_tensor_slices({x, y})
      .shuffle(60000)
      .repeat()
      .batch(c.batch_size, {.drop_remainder = true})
      .prefetch();
}

double seconds_now() {
  const char* clock = std::getenv("COHORT_BENCH_CLOCK");
  if (clock && std::string(clock) == "cpu")
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

/// GFLOP/s of one thread's fused multiply-adds, as the product of two cached matrices reaches them.
double measured_gflops() {
  const Tensor a = Tensor::full(DType::kF32, Shape{512, 512}, 1);
  const Function product =
      function([](Value x, Value y) { return ops::reduce_sum(ops::matmul(x, y)); });
  double best = 0;
  for (int i = 0; i < 20; ++i) {
    const auto begin = Clock::now();
    product(a, a);
    best =
        std::max(best, 2.0 * 512 * 512 * 512 /
                           std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  return best;
}

/// Bytes read and written per ns when a block of `bytes` is copied again and again: from the cache
/// level it fits.
double measured_copy_gbytes(double bytes) {
  const auto half = static_cast<int64_t>(bytes / 2);
  Tensor from(DType::kU8, Shape{half}), to(DType::kU8, Shape{half});
  double best = 0;
  for (int i = 0; i < 50; ++i) {
    const auto begin = Clock::now();
    std::memcpy(to.raw(), from.raw(), static_cast<size_t>(half));
    best =
        std::max(best, 2.0 * static_cast<double>(half) /
                           std::chrono::duration<double, std::nano>(Clock::now() - begin).count());
  }
  return best;
}

/// Becomes the workers of one job: the others are copies of this process and end with it.
void start_workers(int count) {
  const std::string job = fmt::format("train_steps-{}", getpid());
  int rank = 0;
  for (int other = 1; other < count && rank == 0; ++other)
    if (fork() == 0) rank = other;
  if (rank > 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), 1);
  };
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"})
    set(name, std::to_string(count));
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"})
    set(name, std::to_string(rank));
  set("PMIX_NAMESPACE", job);
}

class Trainer {
 public:
  explicit Trainer(const Case& c) : model_(make_model(c)), dataset_(make_dataset(c)) {
    const nn::Optimizer optimizer =
        c.name == "small_sgd" ? nn::Optimizer(nn::SGD({.learning_rate = 0.01, .momentum = 0.9}))
                              : nn::Optimizer(nn::Adam({.learning_rate = 1e-3}));
    model_.compile(
        {.optimizer = optimizer, .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  }

  /// Trains `steps` steps on every worker; returns their mean loss.
  double train(int64_t steps) {
    steps = announce(steps);
    if (steps < 0) return -1;
    const nn::History history = model_.fit(
        dataset_,
        {.epochs = epoch_ + 1, .verbose = 0, .initial_epoch = epoch_, .steps_per_epoch = steps});
    ++epoch_;
    return history["loss"].back();
  }

  /// On workers other than the chief: trains with it until it calls finish().
  void follow() {
    while (train(0) >= 0) {
    }
  }
  void finish() { announce(-1); }

 private:
  /// The chief's number of steps.
  int64_t announce(int64_t steps) const {
    std::array<double, 1> chiefs{static_cast<double>(steps)};
    distribute::current_strategy().workers().take_from_chief(chiefs);
    return static_cast<int64_t>(chiefs[0]);
  }

  nn::Model model_;
  data::Dataset dataset_;
  int64_t epoch_ = 0;
};

void run_block(Trainer& trainer, const std::string& name, const std::string& threads, int round,
               double seconds, double& step_seconds) {
  const double first = trainer.train(1);
  const auto steps = std::max<int64_t>(1, std::llround(seconds / step_seconds));
  const double begin = seconds_now();
  trainer.train(steps);
  step_seconds = (seconds_now() - begin) / static_cast<double>(steps);
  const double last = trainer.train(1);
  fmt::print("{} {} {} {:.3f} {:.6f} {:.6f}\n", name, threads, round, step_seconds * 1e6, first,
             last);
  std::fflush(stdout);
}

/// The number of processes that train together.
int num_workers() {
  const char* workers = std::getenv("COHORT_BENCH_WORKERS");
  return workers ? std::stoi(workers) : 1;
}

void serve(Trainer& trainer, const Case& c, const std::string& threads) {
  const double gflops = measured_gflops(), gbytes = measured_copy_gbytes(c.bytes);
  trainer.train(20);
  const double begin = seconds_now();
  trainer.train(100);
  double step_seconds = (seconds_now() - begin) / 100;
  fmt::print("floor {:.2f} {:.1f} {:.1f}\n", c.flops / gflops / 1e3 + c.bytes / gbytes / 1e3,
             gflops, gbytes);
  fmt::print("ready cohort default\n");
  std::fflush(stdout);
  std::string line;
  for (int round = 0; std::getline(std::cin, line); ++round) {
    if (!line.starts_with("go ")) continue;
    run_block(trainer, c.name, threads, round, std::stod(line.substr(3)), step_seconds);
  }
  trainer.finish();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    fmt::print(stderr, "usage: train_steps CASE THREADS\n");
    return 2;
  }
  Case c = find_case(argv[1]);
  const int workers = num_workers();
  if (workers > 1) start_workers(workers);
  c.batch_size *= workers;
  default_runtime().set_logical_cpu_devices(1, std::stoi(argv[2]) / workers);
  nn::set_random_seed(1);
  const distribute::Strategy strategy =
      workers > 1 ? distribute::MultiWorkerMirroredStrategy() : distribute::default_strategy();
  strategy.scope([&] {
    Trainer trainer(c);
    if (strategy.is_chief())
      serve(trainer, c, argv[2]);
    else
      trainer.follow();
  });
} catch (const cohort::Error& error) {
  fmt::print(stderr, "train_steps: {}\n", error.what());
  return 1;
}
