// One worker of start_up.sh: a job's start, up to the end of its first training step. Prints when
// it was where, in ns of the clock that all processes of a host share:
//   start_up MAIN JOINED COMPILED STEPPED
// MAIN: main() is entered; JOINED: the strategy is there, and so are all workers; COMPILED: the
// model is built; STEPPED: the first step has ended on all devices of this worker.
//   start_up begin COMMAND…      prints "begin NS" and becomes the command
#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "cohort/cohort.h"

namespace {

int64_t now_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace cohort;
  const int64_t main_ns = now_ns();
  if (argc > 2 && std::string(argv[1]) == "begin") {
    fmt::print("begin {}\n", main_ns);
    std::fflush(stdout);
    execvp(argv[2], argv + 2);
    std::perror(argv[2]);
    return 1;
  }
  const auto strategy = distribute::MultiWorkerMirroredStrategy();
  const int64_t joined_ns = now_ns();
  const nn::Model model = strategy.scope([] {
    const nn::Model model =
        nn::Sequential({nn::Input({.shape = {784}}), nn::Dense{.units = 128, .activation = "relu"},
                        nn::Dropout{.rate = 0.2}, nn::Dense{.units = 10}});
    model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                   .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                   .metrics = {"accuracy"}});
    return model;
  });
  const int64_t compiled_ns = now_ns();
  const auto dataset = data::Dataset::from_tensor_slices(
      {Tensor::full(DType::kF32, Shape{128, 784}, 0.5), Tensor(DType::kI32, Shape{128})});
  int64_t stepped_ns = 0;
  model.fit(dataset.batch(128).prefetch(),
            {.verbose = 0,
             .callbacks = {nn::LambdaCallback{.on_epoch_end = [&](int64_t, const nn::Logs& logs) {
               if (logs["loss"] > 0) stepped_ns = now_ns();  // read: a GPU would have finished
             }}}});
  fmt::print("start_up {} {} {} {}\n", main_ns, joined_ns, compiled_ns, stepped_ns);
} catch (const cohort::Error& error) {
  fmt::print(stderr, "start_up: {}\n", error.what());
  return 1;
}
