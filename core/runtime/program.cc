#include "cohort/core/runtime/program.h"

#include "cohort/core/graph/op.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort {
namespace {

void refuse_gathers(const Graph& graph) {
  for (const auto& node : graph.nodes())
    if (node->op().exchange == Exchange::kGather && !is_collective(*node))
      throw Unimplemented(
          "{}: got all_gather of {} inside a step of several replicas; want a fixed number of rows "
          "along axis 0, or return the value and use Strategy::gather",
          node->name(), node->input(0).shape());
}

/// Graphs nested in nodes are computed by their kernels, which know no replicas and no variables.
void refuse_nested_state(const Graph& graph) {
  const auto has_state = [](const Node& inside) {
    const OpDef& op = inside.op();
    return op.kind == OpKind::kCollective || op.kind == OpKind::kUpdate ||
           op.source == Source::kVariable;
  };
  for (const auto& node : graph.nodes())
    if (any_nested_node(*node, has_state))
      throw Unimplemented(
          "{}: got a graph inside the node that reads or writes variables, or exchanges values "
          "between replicas; want that outside, and what is read as an input",
          node->name());
}

}  // namespace

Program::Program(Runtime& runtime, const Trace& trace, ProgramOptions options)
    : runtime_(runtime), options_(std::move(options)) {
  if (!options_.device) options_.device = &runtime.default_device();
  plan_.gradients_apart = options_.communicator && options_.gradient_dtype != DType::kF32;
  if (options_.communicator && options_.communicator->size() > 1)
    plan_.voters = options_.num_replicas;
  if (options_.communicator) plan_.rank = options_.communicator->rank();
  plan_.turns = options_.turns;
  for (const auto& group : trace.groups) plan_.groups.push_back({group});
  plan_.kernels_throw = options_.device->type() == DeviceType::kCPU;
  refuse_nested_state(*trace.graph);
  function_ = plan_collectives(*trace.graph, trace.outputs, options_.bucket_bytes, plan_);
  lay_out_variables(runtime, *options_.device, *function_.graph);
  if (options_.communicator) refuse_gathers(*function_.graph);
  if (options_.communicator)
    plan_.allocate(*options_.communicator, options_.local_replicas, options_.num_replicas,
                   options_.gradient_dtype);
  if (options_.turns != Turns::kNone)
    turns_ = std::make_unique<ReplicaTurns>(
        runtime, *options_.device, plan_, options_.local_replicas,
        fetches_of_each_replica(*function_.graph, function_.fetches));
  COHORT_CHECK(options_.communicator || plan_.groups.empty());
  if (options_.communicator) plan_.place_groups(*options_.device, *options_.communicator);
}

Executable& Program::whole(const SymbolBindings& bindings) {
  const auto matches = [&](const Cached& cached) { return cached.bindings == bindings; };
  if (Cached* known = executables_.find(matches)) return *known->executable;
  SymbolBindings all = bindings;
  all.emplace(std::string(ops::kNumReplicas), options_.num_replicas);
  const size_t of_turns = turns_ ? turns_->num_bytes() : 0;
  auto executable = compile(runtime_, *function_.graph, function_.fetches, all,
                            {.device = options_.device,
                             .collectives = options_.communicator ? &plan_ : nullptr,
                             .turns = turns_.get(),
                             .disabled_passes = options_.disabled_passes});
  if (turns_ && turns_->num_bytes() != of_turns) drop_recordings();  // addresses have changed
  return *executables_.add({bindings, std::move(executable)}, "executables of one step").executable;
}

size_t Program::num_collectives() const {
  const int calls = plan_.turns == Turns::kExchangeEach ? options_.local_replicas : 1;
  return plan_.buckets.size() * static_cast<size_t>(calls) + plan_.groups.size();
}

GroupMemory Program::memory() const {
  GroupMemory memory = plan_.memory();
  if (turns_) memory.gradients += turns_->gradient_bytes();
  return memory;
}

size_t Program::num_bytes() {
  size_t bytes = cohort::num_bytes(*function_.graph);
  bytes += plan_.num_bytes();
  if (turns_) bytes += turns_->num_bytes();
  for (const Cached& cached : executables_) bytes += cached.num_bytes();
  return bytes;
}

void Program::drop_recordings() {
  for (const Cached& cached : executables_) cached.executable->drop_recording();
}

}  // namespace cohort
