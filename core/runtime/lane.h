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

class TraceRecorder;
struct VariablePlace;

/// The straight line of one device.
struct Lane {
  explicit Lane(Schedule schedule) : schedule(std::move(schedule)) {}

  /// Steps that a device which records runs as one, where collectives are in between.
  struct Piece {
    size_t begin = 0, end = 0;
    bool every_turn = true;
    bool records = false;                ///< false: a collective's
    std::vector<RecordedStep> recorded;  ///< of each replica, or one for all
  };

  /// Makes a step of what a schedule entry does.
  void add(const ScheduleEntry& entry, std::unique_ptr<Kernel> kernel);
  /// What of the variables of `graph` its device has.
  void note_variables(const Graph& graph);
  /// That `node` writes its variables.
  void note_written(const Node& node);
  /// When all steps are there: has them recorded in pieces, where replicas take turns. A piece's
  /// recordings know the variables at `places`.
  void cut_into_pieces(int num_replicas);

  /// A CPU waits for what is published when somebody reads it; a GPU's stream does at once.
  bool settles_later() const { return schedule.device->type() == DeviceType::kCPU; }

  /// Waits for what is on its way to the variables, and for others where the step writes them.
  void settle();
  /// Runs the steps of a segment that may fail: of `replica`, all of them or, unless that is the
  /// `last` to take its turn, those of every turn. An error names its node.
  void run(size_t segment, int replica, bool last, TraceRecorder* recorder);
  /// Runs those that commit, and says that variables are written. What departs from the variables
  /// of one of them (Departure) has been copied when it runs.
  void commit(int replica, TraceRecorder* recorder);
  void drop_recordings();

  Schedule schedule;
  std::unique_ptr<ValueStore> values;
  std::vector<std::unique_ptr<Kernel>> owned;
  std::vector<Kernel*> steps;      ///< in order; entries without work left out
  std::vector<const Node*> nodes;  ///< of each step, for errors and traces; null for transfers
  std::vector<ScheduleEntry::Kind> kinds;         ///< likewise
  std::vector<bool> every_turn;                   ///< likewise
  std::vector<size_t> segments{0};                ///< the first step of each
  size_t commit_begin = 0;                        ///< in steps
  std::vector<uint64_t*> written;                 ///< versions to raise after a commit
  std::vector<const VariablePlace*> places;       ///< of variables
  std::vector<const VariablePlace*> overwritten;  ///< by what is no publication
  std::shared_ptr<void> device_step;  ///< where a device that is no CPU keeps the step state
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
  std::vector<Piece> pieces;

 private:
  bool has_departures() const;
  void let_depart(size_t i);
  void run_range(size_t begin, size_t end, int replica, bool last, TraceRecorder* recorder);
  void run_piece(Piece& piece, int replica);
  void run_recorded(size_t i, bool last, TraceRecorder& recorder);
};

}  // namespace cohort
