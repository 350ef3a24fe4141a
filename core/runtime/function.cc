#include "cohort/core/runtime/function.h"

#include <atomic>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/commit_condition.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/program.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/step_devices.h"

namespace cohort {

std::vector<Value> internal::as_outputs(Value value) { return {value}; }

struct Function::State {
  /// A trace, and what runs it when the function is called directly.
  struct Traced {
    explicit Traced(Trace trace) : trace(std::move(trace)) {}

    const Trace trace;
    StepDevices devices;
    std::unique_ptr<Program> program;  // guarded by the turns of `devices`
    std::atomic<size_t> num_bytes{cohort::num_bytes(*trace.graph)};
  };
  struct Entry {
    Signature signature;
    std::shared_ptr<Traced> traced;  ///< whoever runs it keeps it
    size_t num_bytes() const { return traced->num_bytes.load(std::memory_order_relaxed); }
  };

  Body body;
  std::string name;
  RecentlyUsed<Entry> entries;  // guarded by Runtime::tracing()
  std::atomic<int64_t> runs = 0;

  std::shared_ptr<Traced> traced(const Signature& signature) {
    Runtime& runtime = default_runtime();
    const std::lock_guard lock(runtime.tracing());
    const auto matches = [&](const Entry& entry) { return entry.signature == signature; };
    if (const Entry* known = entries.find(matches)) return known->traced;
    auto made = std::make_shared<Traced>(cohort::trace(body, signature, name));
    made->devices.add(runtime, *made->trace.graph, runtime.default_device());
    return entries.add({signature, std::move(made)}, "function " + name).traced;
  }
};

Function::Function(Body body, std::string name) : state_(std::make_shared<State>()) {
  state_->body = std::move(body);
  state_->name = std::move(name);
}

const std::string& Function::name() const { return state_->name; }

Trace Function::trace(const Signature& signature) const { return state_->traced(signature)->trace; }

Trace Function::record(const Signature& signature) const {
  return cohort::trace(state_->body, signature, state_->name);
}

int64_t Function::count_run() const { return state_->runs++; }
int64_t Function::runs() const { return state_->runs; }
void Function::set_runs(int64_t runs) const { state_->runs = runs; }

std::vector<Tensor> Function::operator()(std::span<const Tensor> arguments) const {
  Runtime& runtime = default_runtime();
  const std::shared_ptr<State::Traced> traced = state_->traced(signature_of(arguments));
  std::vector<Tensor> dense;
  for (const Tensor& argument : arguments) dense.push_back(argument.contiguous());

  const DeviceTurn turn = traced->devices.take();
  Device& device = runtime.default_device();
  device.bind_thread();
  if (!traced->program) {
    GraphFunction alone = drop_reductions(*traced->trace.graph, traced->trace.outputs);
    const Trace placed{std::move(alone.graph), std::move(alone.fetches)};
    traced->program = std::make_unique<Program>(runtime, placed, ProgramOptions{.device = &device});
    traced->program->whole({});
    traced->num_bytes += traced->program->num_bytes();
  }
  Executable& executable = traced->program->whole({});
  for (size_t i = 0; i < dense.size(); ++i)
    executable.set_input(static_cast<int>(i), dense[i].raw());
  executable.step() = {.seed = runtime.random_seed(), .step = count_run()};
  executable.run();
  std::vector<Tensor> results;
  for (size_t i = 0; i < traced->trace.outputs.size(); ++i)
    results.push_back(executable.output(static_cast<int>(i)));
  return results;
}

Trace trace(const Function::Body& body, const Signature& signature, const std::string& name) {
  Trace result;
  const std::lock_guard lock(default_runtime().tracing());
  result.graph = std::make_shared<Graph>(default_runtime().ops());
  GraphScope graph_scope(*result.graph);
  std::vector<Value> arguments;
  for (size_t i = 0; i < signature.size(); ++i)
    arguments.push_back(result.graph->placeholder(fmt::format("{}/arg{}", name, i), signature[i]));
  result.outputs = body(arguments);
  for (const Value& output : result.outputs)
    if (&output.graph() != result.graph.get())
      throw InvalidArgument(
          "{}: got an output of another graph; want values made inside the function", name);
  if (any_node(*result.graph, ops::is_commit_condition)) {
    GraphFunction conditional = apply_commit_conditions(*result.graph, result.outputs);
    result.graph = std::move(conditional.graph);
    result.outputs = std::move(conditional.fetches);
  }
  return result;
}

Signature signature_of(std::span<const Tensor> arguments) {
  Signature signature;
  for (const Tensor& argument : arguments)
    signature.push_back({argument.dtype(), argument.shape()});
  return signature;
}

namespace internal {

void check_argument_count(const std::string& name, size_t got, size_t want) {
  if (got != want) throw InvalidArgument("{}: got {} arguments; want {}", name, got, want);
}

}  // namespace internal
}  // namespace cohort
