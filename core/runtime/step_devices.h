#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cohort/core/device/device_turn.h"
#include "cohort/core/graph/graph.h"

namespace cohort {

class ParameterGroup;
class Runtime;

/// The devices that a step runs on and the variables that it uses there. A step runs in their turn,
/// with variables that are current. While nobody else uses the devices in between, that costs
/// nothing but the turns; where others do but share no variable, a look at each of its variables.
class StepDevices {
 public:
  /// `job`: the name of the strategy of several processes that the step belongs to; null for none.
  explicit StepDevices(std::shared_ptr<const std::string> job = nullptr) : job_(std::move(job)) {}
  StepDevices(const StepDevices&) = delete;
  StepDevices& operator=(const StepDevices&) = delete;

  /// A part of the step: `graph`, whose nodes run on `device` unless they ask for another. All are
  /// added before the first take().
  void add(Runtime& runtime, const Graph& graph, Device& device);

  /// What the step's nodes name as parameter groups: they are in place when it runs.
  void add_groups(const std::vector<std::shared_ptr<ParameterGroup>>& groups);

  /// The turns of the devices, for as long as the result lives; this outlives it. A thread that has
  /// them takes them again at once. Throws what DeviceTurn does, and FailedPrecondition for a step
  /// that writes a variable of another job: its other processes would not hear of it.
  DeviceTurn take();

 private:
  struct Use {
    std::shared_ptr<VariableState> variable;
    std::vector<Device*> devices;
    bool written;
  };

  Use& use_of(const std::shared_ptr<VariableState>& variable);
  bool all_current() const;
  std::vector<Device*> with_holders() const;
  DeviceTurn prepare_variables();

  const std::shared_ptr<const std::string> job_;
  std::vector<Device*> devices_;  ///< in turn order
  std::vector<Use> uses_;
  std::vector<std::shared_ptr<ParameterGroup>> groups_;
  bool prepared_ = false;  ///< ever; guarded by the turns
};

}  // namespace cohort
