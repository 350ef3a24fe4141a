#include "cohort/core/runtime/recorded_step.h"

#include <cstdio>
#include <string>

#include "cohort/core/graph/variable.h"
#include "cohort/core/terminal.h"

namespace cohort {
namespace {

/// What fn() throws; "" where it does not.
template <class Fn>
std::string error_of(Fn&& fn) {
  try {
    fn();
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

bool RecordedStep::replay(Device& device, std::span<Kernel* const> steps) {
  if (!warm_) return false;
  if (recording_ && places_moved()) recording_.reset();
  if (!recording_ && records_) record(device, steps);
  if (!recording_) return false;
  recording_->replay();
  return true;
}

void RecordedStep::record(Device& device, std::span<Kernel* const> steps) {
  std::string reason = error_of([&] { records_ = device.begin_recording(); });
  if (reason.empty()) {
    if (!records_) return;
    reason = error_of([&] {
      for (Kernel* step : steps) step->run();
    });
    // What this throws is a consequence where there is a reason already.
    const std::string ending = error_of([&] { recording_ = device.end_recording(); });
    if (reason.empty()) reason = ending;
  }
  if (reason.empty()) {
    recorded_places_.clear();
    for (const VariablePlace* place : places_) recorded_places_.push_back(place->data);
    return;
  }
  recording_.reset();
  records_ = false;
  say(stderr, fmt::format("{}: the step cannot be recorded and runs kernel by kernel: {}\n",
                          device.name().to_string(), reason));
}

bool RecordedStep::places_moved() const {
  for (size_t i = 0; i < places_.size(); ++i)
    if (places_[i]->data != recorded_places_[i]) return true;
  return false;
}

}  // namespace cohort
