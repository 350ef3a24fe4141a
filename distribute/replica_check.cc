#include "cohort/distribute/replica_check.h"

#include <algorithm>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/state.h"

namespace cohort::distribute {
namespace {

bool is_of_each_replica(const VariableState& variable) {
  return variable.options().synchronization == VariableSynchronization::kOnRead;
}

const VariableState& variable_of(const Node& node, int64_t id) {
  return *node.graph().variables()[static_cast<size_t>(id)];
}

bool differs_by_itself(const Node& node, const Trace& trace) {
  if (node.op().source == Source::kInput) {
    const auto& inputs = node.graph().placeholders();
    const auto index =
        static_cast<size_t>(std::find(inputs.begin(), inputs.end(), &node) - inputs.begin());
    return index >= trace.shared_inputs.size() || !trace.shared_inputs[index];
  }
  if (node.op().differs_by_replica && node.attrs().has("field")) {
    const auto field = static_cast<ops::StepField>(node.attrs().get<int64_t>("field"));
    return field == ops::StepField::kReplicaId || field == ops::StepField::kRows ||
           field == ops::StepField::kRowOffset;
  }
  if (node.op().source == Source::kVariable)
    return is_of_each_replica(
        variable_of(node, node.attrs().get<std::vector<int64_t>>("variables").front()));
  return false;
}

}  // namespace

void check_replicas_stay_equal(const Trace& trace, bool shares_device) {
  std::vector<bool> differs(trace.graph->nodes().size(), false);
  for (const auto& node : trace.graph->nodes()) {
    const bool from_inputs =
        std::any_of(node->inputs().begin(), node->inputs().end(),
                    [&](const Value& input) { return differs[input.node()->id()]; });
    const bool reduces = node->op().kind == OpKind::kCollective;
    differs[node->id()] = !reduces && (from_inputs || differs_by_itself(*node, trace));
    if (node->stage() != Stage::kCommit || !node->attrs().has("variables")) continue;
    for (const int64_t id : node->attrs().get<std::vector<int64_t>>("variables")) {
      const VariableState& variable = variable_of(*node, id);
      if (is_of_each_replica(variable) && shares_device)
        throw Unimplemented(
            "{}: got a write to {}, which each replica has its own of (ON_READ), with several "
            "replicas on a "
            "device; want one replica for each device",
            node->name(), variable.name());
      if (from_inputs && !is_of_each_replica(variable))
        throw InvalidArgument(
            "{}: got a value that differs between replicas for variable {}; want it reduced first "
            "(all_reduce), "
            "or a variable with an aggregation",
            node->name(), variable.name());
    }
  }
}

void check_devices_stay_apart(const Trace& trace, std::span<Device* const> devices) {
  if (devices.size() == 1) return;
  for (const auto& node : trace.graph->nodes())
    for (const Device* device : devices)
      if (!device->name().matches(node->device()))
        throw Unimplemented(
            "{}: got a request for {} in a step that {} devices run at once; want none, or a name "
            "that fits each of them, such as \"{}\"",
            node->name(), node->device().to_string(), devices.size(),
            device->type() == DeviceType::kGPU ? "gpu" : "cpu");
}

}  // namespace cohort::distribute
