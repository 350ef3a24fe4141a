// What the executor costs for each node: a chain of ops whose kernel does nothing, and a step of
// 100 of them.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/runtime.h"

namespace {

using namespace cohort;

class NoOpKernel : public Kernel {
 public:
  void run() override {}
  bool can_share(int, int) const override { return true; }
};

std::vector<TensorType> same_type(const InferContext& in) { return {in.input(0)}; }

std::unique_ptr<Kernel> make_no_op(const KernelRequest&) { return std::make_unique<NoOpKernel>(); }

double ns_per_node(Executable& executable, int num_nodes) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> samples;
  const int repeats = std::max(1, 1'000'000 / num_nodes);
  for (int sample = 0; sample < 15; ++sample) {
    const auto begin = Clock::now();
    for (int i = 0; i < repeats; ++i) executable.run();
    const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
    samples.push_back(took.count() / repeats / num_nodes);
  }
  std::sort(samples.begin(), samples.end());
  fmt::print("{:6} no-op nodes: {:.2f} ns a node (least {:.2f}, most {:.2f})\n", num_nodes,
             samples[samples.size() / 2], samples.front(), samples.back());
  return samples[samples.size() / 2];
}

}  // namespace

int main() try {
  Runtime& runtime = default_runtime();
  runtime.ops().add({.name = "NoOp", .num_inputs = 1, .infer = same_type, .stateful = true});
  runtime.kernels().add("NoOp", DeviceType::kCPU, "benchmark", make_no_op);
  for (const int num_nodes : {100, 1000, 10000}) {
    Graph graph(runtime.ops());
    const GraphScope scope(graph);
    Value value = graph.placeholder("x", {DType::kF32, Shape{16}});
    for (int i = 0; i < num_nodes; ++i) value = graph.add("NoOp", {value})->output();
    const std::vector<Value> fetches{value};
    const auto executable =
        compile(runtime, graph, fetches, {}, {.device = &runtime.device("cpu:0")});
    const Tensor x(DType::kF32, Shape{16});
    executable->set_input(0, x.raw());
    ns_per_node(*executable, num_nodes);
  }
} catch (const cohort::Error& error) {
  fmt::print(stderr, "executor_overhead: {}\n", error.what());
  return 1;
}
