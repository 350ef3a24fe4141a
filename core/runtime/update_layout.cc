#include "cohort/core/runtime/update_layout.h"

#include <algorithm>
#include <map>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/device_for.h"

namespace cohort {
namespace {

/// What makes the gradient, seen through the reduction and clipping: the last node of the backward
/// pass, or the reduction.
Value maker(Value gradient) {
  Value value = gradient;
  const auto passes_on = [&](const Node& node) {
    return !is_reduction(node) && node.stage() != Stage::kBackward && !node.inputs().empty() &&
           node.input(0).type() == gradient.type();
  };
  while (passes_on(*value.node())) value = value.node()->input(0);
  return value;
}

/// When the gradient is ready: in the order of what makes gradients, and among those of one
/// reduction in the order of its inputs.
std::pair<int, int> readiness(Value gradient) {
  const Value made = maker(gradient);
  return {made.node()->id(), is_reduction(*made.node()) ? made.index() : 0};
}

Node* find_read(const Graph& graph, int64_t variable) {
  for (const auto& node : graph.nodes())
    if (node->op().source == Source::kVariable &&
        node->attrs().get<std::vector<int64_t>>("variables").front() == variable)
      return node.get();
  return nullptr;
}

DeviceName home(const Graph& graph, int64_t variable, const DeviceName& fallback) {
  const Node* read = find_read(graph, variable);
  return read ? read->device() : fallback;
}

template <class T>
std::vector<T> pick(const std::vector<T>& from, const std::vector<int>& which, int stride) {
  std::vector<T> picked;
  for (size_t section = 0; section < from.size(); section += static_cast<size_t>(stride))
    for (const int i : which) picked.push_back(from[section + static_cast<size_t>(i)]);
  return picked;
}

void add_update(Rewriter& rewriter, const Node& node, const std::vector<int>& members,
                const DeviceName& device) {
  const int n = num_updated(node);
  Attrs attrs = node.attrs();
  attrs.set("variables", pick(attrs.get<std::vector<int64_t>>("variables"), members, n));
  if (const auto* decay = attrs.find("weight_decay");
      decay && !std::get<std::vector<double>>(*decay).empty())
    attrs.set("weight_decay", pick(attrs.get<std::vector<double>>("weight_decay"), members, n));
  const std::vector<Value> mapped = rewriter.mapped_inputs(node);
  std::vector<Value> inputs;
  for (const int i : members) inputs.push_back(mapped[static_cast<size_t>(i)]);
  inputs.insert(inputs.end(), mapped.begin() + n, mapped.end());
  rewriter.graph().copy_node(node, std::move(inputs), std::move(attrs))->set_device(device);
}

size_t padded_bytes(const VariableState& variable) { return (variable.num_bytes() + 63) / 64 * 64; }

bool lies_in_order(Device& device, std::span<const std::shared_ptr<VariableState>> variables) {
  const char* expected = static_cast<const char*>(variables.front()->place(device).data);
  for (const auto& variable : variables) {
    if (variable->place(device).data != expected ||
        variable->place(device).memory.get() != variables.front()->place(device).memory.get())
      return false;
    expected += padded_bytes(*variable);
  }
  return true;
}

void lay_out(Device& device, std::span<const std::shared_ptr<VariableState>> variables) {
  if (variables.empty() || lies_in_order(device, variables)) return;
  size_t bytes = 0;
  for (const auto& variable : variables) bytes += padded_bytes(*variable);
  const std::shared_ptr<void> block = device.allocate(bytes);
  char* next = static_cast<char*>(block.get());
  for (const auto& variable : variables) {
    variable->relocate(device, next, block);
    next += padded_bytes(*variable);
  }
}

}  // namespace

bool is_update(const Node& node) { return node.op().group_inputs.has_value(); }

int num_updated(const Node& node) {
  return static_cast<int>(node.inputs().size()) - *node.op().group_inputs;
}

void copy_update_in_layout_order(Rewriter& rewriter, const Node& node) {
  const int n = num_updated(node);
  const auto& ids = node.attrs().get<std::vector<int64_t>>("variables");
  std::map<std::string, std::vector<int>> by_device;
  std::map<std::string, DeviceName> devices;
  for (int i = 0; i < n; ++i) {
    const DeviceName device = home(node.graph(), ids[static_cast<size_t>(i)], node.device());
    by_device[device.to_string()].push_back(i);
    devices[device.to_string()] = device;
  }
  const std::vector<Value> mapped = rewriter.mapped_inputs(node);
  for (auto& [name, members] : by_device) {
    std::stable_sort(members.begin(), members.end(), [&](int a, int b) {
      return readiness(mapped[static_cast<size_t>(a)]) < readiness(mapped[static_cast<size_t>(b)]);
    });
    add_update(rewriter, node, members, devices[name]);
  }
}

void lay_out_variables(Runtime& runtime, Device& device, const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    const bool placed = node->attrs().has("group");  // by its parameter group
    if (!is_update(*node) || num_updated(*node) == 0 || placed) continue;
    Device& home = device_for(runtime, node->device(), device);
    std::vector<std::shared_ptr<VariableState>> variables;
    for (const int64_t id : node->attrs().get<std::vector<int64_t>>("variables"))
      variables.push_back(graph.variables()[static_cast<size_t>(id)]);
    const auto n = static_cast<size_t>(num_updated(*node));
    for (size_t begin = 0; begin < variables.size(); begin += n)
      lay_out(home, std::span(variables).subspan(begin, n));
  }
}

}  // namespace cohort
