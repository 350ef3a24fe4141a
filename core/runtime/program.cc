#include "cohort/core/runtime/program.h"

#include "cohort/core/ops/collective.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort {
namespace {

void refuse_gathers(const Graph& graph) {
  for (const auto& node : graph.nodes())
    if (node->op_name() == "AllGather" && !is_collective(*node))
      throw Unimplemented(
          "{}: got all_gather of {} inside a step of several replicas; want a fixed number of rows "
          "along axis 0, or return the value and use Strategy::gather",
          node->name(), node->input(0).shape());
}

}  // namespace

Program::Program(Runtime& runtime, const Trace& trace, ProgramOptions options)
    : runtime_(runtime), options_(std::move(options)) {
  if (!options_.device) options_.device = &runtime.default_device();
  plan_.gradients_apart = options_.communicator && options_.communicator->rounds_gradients();
  if (options_.communicator && options_.communicator->size() > 1)
    plan_.voters = options_.num_replicas;
  plan_.kernels_throw = options_.device->type() == DeviceType::kCPU;
  function_ = plan_collectives(*trace.graph, trace.outputs, options_.bucket_bytes, plan_);
  lay_out_variables(runtime, *options_.device, *function_.graph);
  if (options_.communicator) refuse_gathers(*function_.graph);
  if (options_.communicator)
    plan_.allocate(*options_.communicator, options_.local_replicas, options_.num_replicas);
}

Executable& Program::cached(Cache& cache, const GraphFunction& function,
                            const SymbolBindings& bindings) {
  const auto matches = [&](const Cached& cached) { return cached.bindings == bindings; };
  if (Cached* known = cache.find(matches)) return *known->executable;
  SymbolBindings all = bindings;
  all.emplace(std::string(ops::kNumReplicas), options_.num_replicas);
  auto executable = compile(runtime_, *function.graph, function.fetches, all,
                            {.device = options_.device,
                             .collectives = options_.communicator ? &plan_ : nullptr,
                             .disabled_passes = options_.disabled_passes});
  return *cache.add({bindings, std::move(executable)}, "executables of one step").executable;
}

size_t Program::num_bytes() {
  size_t bytes = cohort::num_bytes(*function_.graph);
  for (const Bucket& bucket : plan_.buckets) bytes += bucket.num_bytes();
  for (Cache* cache : {&whole_, &local_, &combine_})
    for (const Cached& cached : *cache) bytes += cached.num_bytes();
  return bytes;
}

void Program::drop_recordings() {
  for (Cache* cache : {&whole_, &local_, &combine_})
    for (const Cached& cached : *cache) cached.executable->drop_recording();
}

StepParts& Program::parts() {
  if (!parts_) parts_ = std::make_unique<StepParts>(split_at_reduction(function_));
  return *parts_;
}

Executable& Program::whole(const SymbolBindings& bindings) {
  return cached(whole_, function_, bindings);
}
Executable& Program::local(const SymbolBindings& bindings) {
  return cached(local_, parts().local, bindings);
}
Executable& Program::combine() { return cached(combine_, parts().combine, {}); }
const std::vector<StepParts::Fetch>& Program::fetch_parts() { return parts().fetches; }

}  // namespace cohort
