#include "core/runtime/function.h"

#include <cstdio>
#include <list>

#include "core/graph/scope.h"
#include "core/runtime/program.h"
#include "core/runtime/runtime.h"

namespace cohort {
namespace {

constexpr size_t kLargestCache = 64;

}  // namespace

struct Function::State {
  struct Entry {
    Signature signature;
    Trace trace;
    std::unique_ptr<Program> program;  ///< made when called directly
  };

  Body body;
  std::string name;
  std::list<Entry> entries;  ///< latest used first
  int64_t calls = 0;
  bool warned = false;

  Entry& entry(const Signature& signature) {
    for (auto it = entries.begin(); it != entries.end(); ++it) {
      if (it->signature != signature) continue;
      entries.splice(entries.begin(), entries, it);
      return entries.front();
    }
    if (entries.size() == kLargestCache) {
      if (!warned)
        std::fprintf(stderr,
                     "cohort: function %s has been traced for more than %zu signatures; pass "
                     "tensors of equal "
                     "shapes, or batches of a dataset\n",
                     name.c_str(), kLargestCache);
      warned = true;
      entries.pop_back();
    }
    entries.push_front({signature, cohort::trace(body, signature, name), nullptr});
    return entries.front();
  }
};

Function::Function(Body body, std::string name) : state_(std::make_shared<State>()) {
  state_->body = std::move(body);
  state_->name = std::move(name);
}

const std::string& Function::name() const { return state_->name; }

const Trace& Function::trace(const Signature& signature) const {
  return state_->entry(signature).trace;
}

Trace Function::record(const Signature& signature) const {
  return cohort::trace(state_->body, signature, state_->name);
}

std::vector<Tensor> Function::operator()(std::span<const Tensor> arguments) const {
  Runtime& runtime = default_runtime();
  State::Entry& entry = state_->entry(signature_of(arguments));
  Device& device = runtime.default_device();
  device.bind_thread();
  if (!entry.program)
    entry.program =
        std::make_unique<Program>(runtime, entry.trace, ProgramOptions{.device = &device});
  Executable& executable = entry.program->whole({});
  std::vector<Tensor> dense;
  for (const Tensor& argument : arguments) dense.push_back(argument.contiguous());
  for (size_t i = 0; i < dense.size(); ++i)
    executable.set_input(static_cast<int>(i), dense[i].raw());
  executable.step() = {.seed = runtime.random_seed(), .step = state_->calls};
  executable.run();
  ++state_->calls;
  std::vector<Tensor> results;
  for (size_t i = 0; i < entry.trace.outputs.size(); ++i)
    results.push_back(executable.output(static_cast<int>(i)));
  return results;
}

Trace trace(const Function::Body& body, const Signature& signature, const std::string& name) {
  Trace result;
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
