// Where the time of a training step goes: the benchmark's models built from ops alone, compiled and
// run; prints the whole step and, with "nodes", the least time of each node.
//   step_times [threads] [part of a case's name] [nodes]
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/philox.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/recorder.h"

namespace cohort {
namespace {

Tensor numbers(Shape shape, float scale) {
  static uint64_t seed = 0;
  Tensor tensor(DType::kF32, std::move(shape));
  ++seed;
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<float>()[i] =
        scale * (2 * philox_uniform_float(philox_word(seed, static_cast<uint64_t>(i))) - 1);
  return tensor;
}

/// The variables of a model under construction.
struct Model {
  Graph& graph;
  ops::Variables variables;
  std::vector<Value> reads;

  Value weight(Shape shape, int64_t fan_in) {
    const float scale = 1 / std::sqrt(static_cast<float>(fan_in));
    variables.push_back(std::make_shared<VariableState>(
        numbers(std::move(shape), scale),
        VariableOptions{.name = fmt::format("w{}", variables.size())}));
    reads.push_back(graph.read(variables.back()));
    return reads.back();
  }
  Value dense(Value x, int64_t units) {
    const int64_t depth = x.shape().size(1);
    return ops::matmul(x, weight({depth, units}, depth)) + weight({units}, depth);
  }
  Value conv(Value x, int64_t filters) {
    const int64_t depth = x.shape().size(3);
    const Value y =
        ops::conv2d(x, weight({3, 3, depth, filters}, 9 * depth), {.padding = ops::Padding::kSame});
    return ops::relu(y + weight({filters}, 9 * depth));
  }
};

Value mlp(Model& model, Value x) {
  return model.dense(ops::dropout(ops::relu(model.dense(x, 128)), 0.2), 10);
}
Value small_mlp(Model& model, Value x) {
  for (int i = 0; i < 2; ++i) x = ops::relu(model.dense(x, 64));
  return model.dense(x, 10);
}
Value cnn(Model& model, Value x) {
  x = ops::max_pool2d(model.conv(x, 32));
  x = ops::max_pool2d(model.conv(x, 64));
  x = ops::relu(model.dense(ops::flatten(x, 1, 4), 128));
  return model.dense(x, 10);
}

struct Case {
  std::string name;
  Shape image;  // of one row
  Value (*logits)(Model&, Value);
  int64_t rows;
  bool adam;
};

ops::Variables slots(const ops::Variables& of) {
  ops::Variables result;
  for (const auto& variable : of)
    result.push_back(
        std::make_shared<VariableState>(Tensor(DType::kF32, variable->shape()),
                                        VariableOptions{.name = variable->name() + "/slot"}));
  return result;
}

Value build(Graph& graph, const Case& c) {
  const GraphScope scope(graph);
  Model model{graph};
  const Value x = graph.placeholder("x", {DType::kF32, Shape{batch_dim()} + c.image});
  const Value labels = graph.placeholder("labels", {DType::kI64, {batch_dim()}});
  const Value loss =
      ops::reduce_mean(ops::sparse_softmax_cross_entropy(c.logits(model, x), labels));
  std::vector<Value> dense;
  for (const Gradient& gradient : gradients(loss, model.reads)) dense.push_back(gradient.dense());
  const Value rate = ops::scalar(1e-3, DType::kF32);
  const Value step = ops::step_info(ops::StepField::kStep) + 1.0;
  const Value apply = ops::constant(Tensor::full(DType::kBool, {}, 1));
  if (c.adam)
    ops::adam_update(model.variables, slots(model.variables), slots(model.variables), {}, dense,
                     rate, step, apply, {});
  else
    ops::sgd_update(model.variables, slots(model.variables), dense, rate, step, apply,
                    {.momentum = 0.9});
  return loss;
}

// In µs: of this thread where it is the only one, so that other programs count less.
double now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

void print_nodes(const TraceRecorder& recorder) {
  std::map<std::string, std::pair<double, std::string>> least;
  std::vector<std::string> order;
  for (const auto& event : recorder.events()) {
    const double us = static_cast<double>(event.duration_ns) / 1e3;
    const auto [it, inserted] = least.try_emplace(event.name, us, event.op);
    if (inserted) order.push_back(event.name);
    it->second.first = std::min(it->second.first, us);
  }
  for (const std::string& name : order)
    fmt::print("    {:9.2f}  {:26} {}\n", least[name].first, least[name].second, name);
}

void measure(const Case& c, int threads, bool nodes) {
  Runtime& runtime = default_runtime();
  Graph graph(runtime.ops());
  const std::vector<Value> fetches{build(graph, c)};
  TraceRecorder recorder;
  const auto executable =
      compile(runtime, graph, fetches, {{"N", c.rows}},
              {.device = &runtime.device("cpu:0"), .recorder = nodes ? &recorder : nullptr});
  const Tensor x = numbers(Shape{c.rows} + c.image, 1), labels(DType::kI64, {c.rows});
  executable->set_input(0, x.raw());
  executable->set_input(1, labels.raw());
  runtime.device("cpu:0").bind_thread();
  double least = 1e30;
  const double end = now(threads) + 1e6;
  for (int i = 0; i < 5 || now(threads) < end; ++i) {
    const double start = now(threads);
    executable->run();
    least = std::min(least, now(threads) - start);
    ++executable->step().step;
  }
  fmt::print("{:24} {:9.1f} µs   loss {:.4f}\n", c.name, least, executable->output(0).item());
  if (nodes) print_nodes(recorder);
}

}  // namespace
}  // namespace cohort

int main(int argc, char** argv) try {
  using namespace cohort;
  const int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  const std::string filter = argc > 2 ? argv[2] : "";
  default_runtime().set_logical_cpu_devices(1, threads);
  const Case cases[] = {{"mlp b32 adam", {784}, mlp, 32, true},
                        {"mlp b256 adam", {784}, mlp, 256, true},
                        {"small mlp b32 sgd", {64}, small_mlp, 32, false},
                        {"small mlp b32 adam", {64}, small_mlp, 32, true},
                        {"cnn b64 adam", {28, 28, 1}, cnn, 64, true}};
  for (const Case& c : cases)
    if (c.name.find(filter) != std::string::npos) measure(c, threads, argc > 3);
  return 0;
} catch (const cohort::Error& error) {
  fmt::print(stderr, "step_times: {}\n", error.what());
  return 1;
}
