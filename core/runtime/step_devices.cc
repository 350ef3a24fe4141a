#include "cohort/core/runtime/step_devices.h"

#include <algorithm>
#include <unordered_map>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/device_for.h"
#include "cohort/core/runtime/parameter_group.h"
#include "cohort/core/runtime/update_layout.h"

// The invariant: a step that was the last to use all its devices finds its variables as it left
// them. Whoever writes a variable, or makes a place for it, is noted first as the user of all
// devices that hold it, or makes it nobody; then every other step that uses the variable prepares
// it anew.

namespace cohort {
namespace {

using VariableDevices = std::unordered_map<int64_t, DeviceName>;

/// Where the variables are read: updates run there.
VariableDevices homes_of(const Graph& graph) {
  VariableDevices homes;
  for (const auto& node : graph.nodes())
    if (node->op().source == Source::kVariable)
      homes.emplace(node->attrs().get<std::vector<int64_t>>("variables").front(), node->device());
  return homes;
}

void add_once(std::vector<Device*>& devices, Device* device) {
  if (std::find(devices.begin(), devices.end(), device) == devices.end()) devices.push_back(device);
}

}  // namespace

StepDevices::Use& StepDevices::use_of(const std::shared_ptr<VariableState>& variable) {
  for (Use& use : uses_)
    if (use.variable == variable) return use;
  return uses_.emplace_back(Use{variable, {}, false});
}

void StepDevices::add(Runtime& runtime, const Graph& graph, Device& device) {
  const auto resolve = [&](const DeviceName& name) { return &device_for(runtime, name, device); };
  const VariableDevices homes = homes_of(graph);
  std::vector<Device*> devices = devices_;
  devices.push_back(&device);
  for (const auto& node : graph.nodes()) {
    add_once(devices, resolve(node->device()));
    const Attr* attribute = node->attrs().find("variables");
    if (!attribute) continue;
    const auto& ids = std::get<std::vector<int64_t>>(*attribute);
    const size_t updated = is_update(*node) ? static_cast<size_t>(num_updated(*node)) : 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto home = updated > 0 ? homes.find(ids[i % updated]) : homes.end();
      Use& use = use_of(graph.variables()[static_cast<size_t>(ids[i])]);
      add_once(use.devices, resolve(home == homes.end() ? node->device() : home->second));
      use.written = use.written || node->stage() == Stage::kCommit;
    }
  }
  devices_ = in_turn_order(std::move(devices));
}

void StepDevices::add_groups(const std::vector<std::shared_ptr<ParameterGroup>>& groups) {
  groups_.insert(groups_.end(), groups.begin(), groups.end());
}

DeviceTurn StepDevices::take() {
  DeviceTurn turn(devices_, job_.get());
  if (prepared_ && turn.follows(this)) return turn;
  if (prepared_ && all_current()) {
    turn.note_user(this);
    return turn;
  }
  turn.release();
  return prepare_variables();
}

/// Whether every variable is current on all of the step's devices and held by no others, and lies
/// where its group does.
bool StepDevices::all_current() const {
  const bool in_place = std::all_of(groups_.begin(), groups_.end(),
                                    [](const auto& group) { return group->is_in_place(); });
  return in_place && std::all_of(uses_.begin(), uses_.end(), [this](const Use& use) {
           const auto& places = use.variable->places();
           return (!use.written || use.variable->may_be_written_by(job_.get())) &&
                  places.size() == use.devices.size() &&
                  std::all_of(places.begin(), places.end(),
                              [](const auto& p) { return p->current; });
         });
}

std::vector<Device*> StepDevices::with_holders() const {
  std::vector<Device*> devices = devices_;
  for (const Use& use : uses_)
    for (Device* holder : use.variable->holders()) add_once(devices, holder);
  return in_turn_order(std::move(devices));
}

DeviceTurn StepDevices::prepare_variables() {
  for (;;) {
    const std::vector<Device*> all = with_holders();
    const DeviceTurn turn(all, job_.get());
    if (with_holders() != all) continue;  // another step has made a place meanwhile
    for (const Use& use : uses_) {
      if (use.written) use.variable->check_writer(job_.get());
      use.variable->prepare_for(use.devices, use.written);
    }
    for (const auto& group : groups_) group->put_in_place();
    turn.note_user(this);
    prepared_ = true;
    return DeviceTurn(devices_, job_.get());
  }
}

}  // namespace cohort
