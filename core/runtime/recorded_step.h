#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/device.h"
#include "cohort/core/runtime/kernel.h"

namespace cohort {

struct VariablePlace;

/// What came of a try to record a step.
struct RecordingOutcome {
  bool recorded = false;
  std::string reason = {};  ///< why not; empty for a device that does not record
};

/// The kernels of a step as one piece, on devices that record: recorded when all have run once, and
/// again when a variable has moved since.
class RecordedStep {
 public:
  /// A variable that the step reads or writes, which outlives this.
  void add(const VariablePlace& place) { places_.push_back(&place); }
  /// Every kernel has run once.
  void note_first_run() { warm_ = true; }

  /// Runs `steps` as one recording. False where they must be run one by one: before the first run,
  /// on a device that does not record, and for a step that cannot be recorded (said once, on
  /// stderr).
  bool replay(Device& device, std::span<Kernel* const> steps);

  // The parts of replay(), where somebody else decides.
  /// Whether there is a recording that fits where the variables are now.
  bool is_current() const { return recording_ && !places_moved(); }
  /// Records the kernels anew, and runs none.
  RecordingOutcome record(Device& device, std::span<Kernel* const> steps);
  /// Runs the current recording.
  void replay() { recording_->replay(); }
  void drop() { recording_.reset(); }

 private:
  bool places_moved() const;

  bool warm_ = false;
  bool records_ = true;  ///< false where a try has failed
  std::unique_ptr<Device::Recording> recording_;
  std::vector<const VariablePlace*> places_;
  std::vector<const void*> recorded_places_;
};

}  // namespace cohort
