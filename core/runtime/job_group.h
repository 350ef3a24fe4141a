#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/error.h"

namespace cohort {

class Communicator;
class Device;

/// How ranks that carry blocks of logical replicas add up: for (a, b) in order, rank a's sum takes
/// rank b's; the total ends in rank 0. A binary tree over neighbours.
using CombineOrder = std::vector<std::pair<int, int>>;

/// The devices of one process that become one group.
struct LocalGroup {
  std::span<Device* const> devices;  ///< they outlive the communicators
  CombineOrder order;
  int num_replicas = 1;  ///< of all devices
};

/// The devices of several processes that become one group; every process has equally many. Ranks
/// count the devices of the first process, then those of the second, ….
struct JobGroup {
  std::span<Device* const> devices;  ///< of this process; they outlive the communicators
  int process = 0;
  int num_processes = 1;
  CombineOrder order;
  int num_replicas = 1;  ///< of all processes
  std::string id;        ///< from make_id() in one process, the same in all
  std::chrono::milliseconds timeout{};
  /// What the job has failed with, if it has: ends waits. Any thread may ask.
  std::function<std::optional<Error>()> failure;
  /// `mine` of every process, in order. Collective: every process makes the same calls.
  std::function<std::vector<std::string>(std::string_view label, std::string_view mine)> all_gather;

  int num_ranks() const { return num_processes * static_cast<int>(devices.size()); }
  int first_rank() const { return process * static_cast<int>(devices.size()); }
};

/// What a back end has for its devices in several processes (NCCL for GPUs).
struct JobCommunicators {
  std::string (*make_id)() = nullptr;
  /// Of the physical device: equal in two processes that use the same one.
  std::string (*identity)(const Device& device) = nullptr;
  /// The communicators of this process' devices. Collective. Throws DeadlineExceeded when not all
  /// processes came within the timeout, and what `failure` gives.
  std::vector<std::unique_ptr<Communicator>> (*make)(const JobGroup& group) = nullptr;
};

}  // namespace cohort
