// Processor time of optimizers' updates for each byte that they move, beside Adam's kernel:
// update_bodies [parameters]. Every update as the optimizer itself records it, on one thread. The
// least of many runs, taken in turns; time of this thread alone, so that a busy machine disturbs
// little.
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "cohort/core/runtime/function.h"
#include "cohort/nn/optimizers.h"
#include "tests/kernels/kernel_harness.h"

namespace cohort {
namespace {

using testing::BoundKernel;
using testing::KernelCase;

Tensor numbers(DType dtype, const Shape& shape, double scale) {
  Tensor tensor(DType::kF32, shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(scale * (1.0 + static_cast<double>(i % 97)));
  return tensor.cast(dtype);
}

/// The update of `count` parameters as `optimizer` records it.
KernelCase update_of(const nn::Optimizer& optimizer, int64_t count) {
  const nn::Variable parameters(numbers(DType::kF32, {count}, 1e-3), "parameters");
  const Trace made = trace(
      [&](std::span<const Value> in) {
        optimizer.impl().apply({Gradient(in[0])}, {parameters});
        return std::vector<Value>();
      },
      {{DType::kF32, Shape{count}}}, "update");
  for (const auto& node : made.graph->nodes()) {
    if (!node->op().group_inputs) continue;
    KernelCase test{.op = node->op_name(), .attrs = node->attrs()};
    for (const Value& input : node->inputs()) {
      const bool is_flag = input.dtype() == DType::kBool;
      test.inputs.push_back(is_flag ? Tensor::full(DType::kBool, {}, 1)
                                    : numbers(input.dtype(), input.shape(), 1e-4));
      if (input.dtype() == DType::kI64) test.inputs.back() = Tensor::scalar(int64_t{10});
    }
    const size_t variables = node->attrs().get<std::vector<int64_t>>("variables").size();
    for (size_t i = 0; i < variables; ++i)
      test.variables.push_back(numbers(DType::kF32, {count}, 1e-3));
    return test;
  }
  throw Internal("update_bodies: got no update");
}

double thread_seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Timed {
  std::string name;
  std::unique_ptr<BoundKernel> kernel;
  double bytes = 0;
  double seconds = 1e30;
};

void print_times(int64_t count) {
  const std::pair<std::string, nn::Optimizer> optimizers[] = {
      {"Adam, its kernel", nn::Adam{}},
      {"Adam", nn::Adam{.use_ema = true}},
      {"SGD, its kernel", nn::SGD{.momentum = 0.9}},
      {"RMSprop", nn::RMSprop{}},
      {"RMSprop, momentum, centered", nn::RMSprop{.momentum = 0.9, .centered = true}},
      {"Adagrad", nn::Adagrad{}},
      {"Adadelta", nn::Adadelta{}},
      {"Adamax", nn::Adamax{}},
      {"Nadam", nn::Nadam{}},
      {"Lion", nn::Lion{}},
      {"Ftrl", nn::Ftrl{}},
  };
  std::vector<Timed> all;
  for (const auto& [name, optimizer] : optimizers) {
    const KernelCase test = update_of(optimizer, count);
    const auto arrays = static_cast<double>(1 + 2 * test.variables.size());
    all.push_back(
        {name, std::make_unique<BoundKernel>(test, ""), 4.0 * arrays * static_cast<double>(count)});
  }
  for (int round = 0; round < 40; ++round)
    for (Timed& timed : all) {
      const double start = thread_seconds();
      timed.kernel->run();
      timed.seconds = std::min(timed.seconds, thread_seconds() - start);
    }
  const double adams = all[0].seconds / all[0].bytes;
  for (const Timed& timed : all)
    fmt::print("{:30} {:10.1f} us  {:6.3f} ns/byte  {:5.2f} of Adam's\n", timed.name,
               timed.seconds * 1e6, timed.seconds / timed.bytes * 1e9,
               timed.seconds / timed.bytes / adams);
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) try {
  cohort::print_times(argc > 1 ? std::atoll(argv[1]) : 4 << 20);
  return 0;
} catch (const cohort::Error& error) {
  fmt::print(stderr, "update_bodies: {}\n", error.what());
  return 1;
}
