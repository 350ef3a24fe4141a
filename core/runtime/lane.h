#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cohort/core/error.h"
#include "cohort/core/runtime/device_thread.h"
#include "cohort/core/runtime/kernel.h"
#include "cohort/core/runtime/recorded_step.h"
#include "cohort/core/runtime/schedule.h"
#include "cohort/core/runtime/step_state.h"
#include "cohort/core/runtime/value_store.h"

namespace cohort {

/// The straight line of one device.
struct Lane {
  explicit Lane(Schedule schedule) : schedule(std::move(schedule)) {}

  Schedule schedule;
  std::unique_ptr<ValueStore> values;
  std::vector<std::unique_ptr<Kernel>> owned;
  std::vector<Kernel*> steps;      ///< in order; entries without work left out
  std::vector<const Node*> nodes;  ///< of each step, for errors and traces; null for transfers
  std::vector<ScheduleEntry::Kind> kinds;  ///< likewise
  size_t commit_begin = 0;                 ///< in steps
  std::vector<uint64_t*> written;          ///< versions to raise after a commit
  std::shared_ptr<void> device_step;       ///< where a device that is no CPU keeps the step state
  const StepState* step = nullptr;
  std::unique_ptr<DeviceThread> thread;
  std::optional<Error> error;

  /// An input's way to a device that cannot read the host's memory.
  struct Upload {
    size_t input;
    void* to;
    size_t bytes;
  };
  std::vector<Upload> uploads;

  RecordedStep recorded;
};

}  // namespace cohort
