#pragma once

#include <functional>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort {

class Device;

/// One entry of a device's straight line.
struct ScheduleEntry {
  enum class Kind {
    kCompute,
    kStart,    ///< of the collective `node`: its last input is ready
    kWait,     ///< for the collective `node`
    kSend,     ///< `value` is ready for other devices
    kReceive,  ///< brings `value` from the device that made it
    kMeet,     ///< of `num_lanes` devices, before the vote: each has done what could fail
  };
  Kind kind = Kind::kCompute;
  const Node* node = nullptr;
  Value value = {};
  int num_lanes = 0;
  /// Where replicas take turns on the device: run in each of them, and not in the last one alone.
  bool every_turn = true;
};

/// What one device does in a step, in order.
struct Schedule {
  Device* device = nullptr;
  std::vector<ScheduleEntry> entries;
  size_t commit_begin = 0;  ///< entries from here on write state and cannot fail
  /// Where segments after the first begin: replicas that take turns have all come so far when one
  /// of them goes on.
  std::vector<size_t> cuts;
};

using DeviceOf = std::function<Device*(const Node&)>;

/// Lays the graph out as one line for each device: nodes in graph order, commits last, and at their
/// end the waits for what they publish; a reduction
/// starts right after its last input and is waited for before its first user; values that cross
/// devices are sent when made and received before their first use. All lines follow one global
/// order, so that they cannot wait for each other in a circle. `every_turn`: see
/// nodes_of_every_turn(); empty where one replica has the devices to itself. With `exchanges_each`
/// every turn waits for the collectives that it starts, in the same segment. Throws Unimplemented,
/// naming it, for a node that cuts a step on several devices.
std::vector<Schedule> make_schedules(const Graph& graph, const DeviceOf& device_of,
                                     const std::vector<bool>& every_turn = {},
                                     bool exchanges_each = false);

}  // namespace cohort
