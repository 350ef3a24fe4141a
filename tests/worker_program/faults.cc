#include "tests/worker_program/faults.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "tests/worker_program/say.h"

namespace nn = cohort::nn;

nn::Callback raising(int signal) {
  return nn::LambdaCallback{.on_train_batch_end = [signal](int64_t batch, const nn::Logs&) {
    if (batch == 3) std::raise(signal);
  }};
}

nn::Callback stuck() {
  return nn::LambdaCallback{.on_train_batch_end = [](int64_t batch, const nn::Logs&) {
    while (batch == 3) pause();
  }};
}

nn::Callback first_step() {
  auto last = std::chrono::steady_clock::now();
  return nn::LambdaCallback{.on_epoch_end = [last](int64_t epoch, const nn::Logs&) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (epoch == 0) say("step", "made");
    if (epoch > 0 && now - last > std::chrono::seconds(5)) say("step", "went on");
    last = now;
  }};
}

nn::Callback failing(const std::string& scenario) {
  return nn::LambdaCallback(
      {.on_epoch_end =
           [scenario](int64_t, const nn::Logs&) {
             if (scenario == "throws_at_epoch") throw std::runtime_error("a full disk");
             if (scenario == "throws_int") throw 42;
           },
       .on_train_batch_end =
           [scenario](int64_t batch, const nn::Logs&) {
             if (batch != 3) return;
             if (scenario == "throws_in_callback") throw std::runtime_error("a full disk");
             if (scenario == "exits_in_callback") std::exit(0);
             if (scenario == "aborts_on_thread")
               std::thread([] { throw std::runtime_error("an exception of a thread"); }).join();
           }});
}
