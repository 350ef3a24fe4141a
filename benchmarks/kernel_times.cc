// Prints the least time of each kernel at the shapes of the benchmark's models, implementation by
// implementation: kernel_times [threads] [part of a name].
#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "cohort/core/runtime/philox.h"
#include "tests/kernels/kernel_harness.h"

namespace cohort {
namespace {

using testing::BoundKernel;
using testing::KernelCase;
using Ints = std::vector<int64_t>;

struct TimedCase {
  std::string name;
  KernelCase test;
};

Tensor numbers(Shape shape, uint64_t seed = 1) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] =
        philox_uniform_float(philox_word(seed, static_cast<uint64_t>(i))) - 0.5f;
  return tensor;
}

void add_product(std::vector<TimedCase>& cases, std::string name, int64_t m, int64_t n, int64_t k,
                 bool ta, bool tb) {
  cases.push_back({name,
                   {.op = "MatMul",
                    .inputs = {numbers(ta ? Shape{k, m} : Shape{m, k}),
                               numbers(tb ? Shape{n, k} : Shape{k, n})},
                    .attrs = {{"transpose_a", ta}, {"transpose_b", tb}}}});
}

// Forward, gradient of the kernel and of the input of a dense layer.
void add_dense(std::vector<TimedCase>& cases, const std::string& name, int64_t rows, int64_t in,
               int64_t out) {
  cases.push_back(
      {name + " forward+bias+relu",
       {.op = "FusedMatMul",
        .inputs = {numbers({rows, in}), numbers({in, out}), numbers({out})},
        .attrs = {
            {"transpose_a", false}, {"transpose_b", false}, {"activation", std::string("relu")}}}});
  add_product(cases, name + " dW", in, out, rows, true, false);
  add_product(cases, name + " dX", rows, in, out, false, true);
}

void add_conv(std::vector<TimedCase>& cases, const std::string& name, Shape x, int64_t f) {
  const int64_t c = x.size(3);
  const Shape y{x.size(0), x.size(1), x.size(2), f}, kernel{3, 3, c, f};
  Attrs attrs{{"strides", Ints{1, 1}},
              {"dilation", Ints{1, 1}},
              {"pads", Ints{1, 1, 1, 1}},
              {"groups", int64_t{1}},
              {"activation", std::string("relu")}};
  cases.push_back({name + " forward+bias+relu",
                   {.op = "FusedConv2D",
                    .inputs = {numbers(x), numbers(kernel), numbers({f})},
                    .attrs = attrs}});
  attrs.set("shape", kernel);
  cases.push_back(
      {name + " dW",
       {.op = "Conv2DBackwardKernel", .inputs = {numbers(x), numbers(y)}, .attrs = attrs}});
  cases.push_back({name + " dbias",
                   {.op = "ReduceSum",
                    .inputs = {numbers(y)},
                    .attrs = {{"axis", Ints{0, 1, 2}}, {"keepdims", false}}}});
  cases.push_back({name + " relu grad", {.op = "ReluGrad", .inputs = {numbers(y), numbers(y, 2)}}});
  if (c == 1) return;
  attrs.set("shape", x);
  cases.push_back(
      {name + " dX",
       {.op = "Conv2DBackwardInput", .inputs = {numbers(y), numbers(kernel)}, .attrs = attrs}});
}

void add_pool(std::vector<TimedCase>& cases, const std::string& name, Shape x) {
  Attrs attrs{{"pool_size", Ints{2, 2}}, {"strides", Ints{2, 2}}, {"pads", Ints{0, 0, 0, 0}}};
  const KernelCase forward{.op = "MaxPool2D", .inputs = {numbers(x)}, .attrs = attrs};
  BoundKernel kernel(forward, "");
  kernel.run();
  cases.push_back({name, forward});
  attrs.set("shape", x);
  cases.push_back(
      {name + " grad", {.op = "MaxPool2DGrad", .inputs = kernel.outputs(), .attrs = attrs}});
}

void add_adam(std::vector<TimedCase>& cases, const std::string& name, int64_t count) {
  cases.push_back({name,
                   {.op = "AdamUpdate",
                    .inputs = {numbers({count}), Tensor::scalar(0.001f),
                               Tensor::scalar(int64_t{10}), Tensor::full(DType::kBool, {}, 1)},
                    .attrs = {{"beta_1", 0.9},
                              {"beta_2", 0.999},
                              {"epsilon", 1e-7},
                              {"amsgrad", false},
                              {"weight_decay", std::vector<double>{}}},
                    .variables = {numbers({count}), numbers({count}),
                                  Tensor::full(DType::kF32, {count}, 0.01)}}});
}

void add_loss(std::vector<TimedCase>& cases, int64_t rows) {
  Tensor labels(DType::kI64, {rows});
  cases.push_back({fmt::format("sparse cross entropy {} x 10", rows),
                   {.op = "SparseSoftmaxCrossEntropy", .inputs = {numbers({rows, 10}), labels}}});
}

void add_dropout(std::vector<TimedCase>& cases, Shape shape) {
  cases.push_back({fmt::format("dropout {}", shape),
                   {.op = "Dropout",
                    .inputs = {numbers(shape)},
                    .attrs = {{"rate", 0.2},
                              {"seed", int64_t{-1}},
                              {"stream", std::string("s")},
                              {"batched", true}}}});
}

std::vector<TimedCase> make_cases() {
  std::vector<TimedCase> cases;
  for (const int64_t rows : {32, 256}) {
    const std::string batch = fmt::format("mlp b{} ", rows);
    add_dense(cases, batch + "784-128", rows, 784, 128);
    add_dense(cases, batch + "128-10", rows, 128, 10);
  }
  add_dense(cases, "mlp b32 64-64", 32, 64, 64);
  add_dropout(cases, {32, 128});
  add_loss(cases, 32);
  add_adam(cases, "adam 101770", 101770);
  add_conv(cases, "cnn b64 conv1", {64, 28, 28, 1}, 32);
  add_pool(cases, "cnn b64 pool1", {64, 28, 28, 32});
  add_conv(cases, "cnn b64 conv2", {64, 14, 14, 32}, 64);
  add_pool(cases, "cnn b64 pool2", {64, 14, 14, 64});
  add_dense(cases, "cnn b64 3136-128", 64, 3136, 128);
  add_adam(cases, "adam 421642", 421642);
  add_adam(cases, "adam 4M", 4 << 20);
  return cases;
}

// In µs: of this thread where it is the only one, so that other programs count less; else of the
// clock.
double now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

// The least of many runs, in µs.
double least_time(BoundKernel& kernel, int threads) {
  double least = 1e30;
  const double end = now(threads) + 2e5;
  for (int i = 0; i < 5 || now(threads) < end; ++i) {
    const double start = now(threads);
    kernel.run();
    least = std::min(least, now(threads) - start);
  }
  return least;
}

void print_times(int threads, std::string_view filter) {
  for (TimedCase& timed : make_cases()) {
    if (timed.name.find(filter) == std::string::npos) continue;
    timed.test.threads = threads;
    fmt::print("{:34}", timed.name);
    for (const std::string& name : BoundKernel::kernels().names(timed.test.op, DeviceType::kCPU)) {
      if (name == "plain") continue;
      BoundKernel kernel(timed.test, name);
      if (kernel.valid()) fmt::print("  {} {:8.1f}", name, least_time(kernel, threads));
    }
    fmt::print("\n");
  }
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) try {
  cohort::print_times(argc > 1 ? std::atoi(argv[1]) : 1, argc > 2 ? argv[2] : "");
  return 0;
} catch (const cohort::Error& error) {
  fmt::print(stderr, "kernel_times: {}\n", error.what());
  return 1;
}
