#include "cohort/core/runtime/lane.h"

#include <algorithm>

#include "cohort/core/graph/departure.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/trace/recorder.h"

namespace cohort {
namespace {

using EntryKind = ScheduleEntry::Kind;

bool is_of_collective(EntryKind kind) {
  return kind == EntryKind::kStart || kind == EntryKind::kWait;
}

/// `last`: the start is no other than that of the collective; else it is a replica's part.
TraceEvent event_of(const Lane& lane, size_t i, bool last) {
  TraceEvent event{
      .track = lane.schedule.device->name().to_string(), .name = "transfer", .op = "Transfer"};
  if (!lane.nodes[i]) return event;
  event.name = lane.nodes[i]->name();
  event.op = lane.nodes[i]->op_name();
  if (!last || !is_of_collective(lane.kinds[i])) return event;
  event.kind =
      lane.kinds[i] == EntryKind::kStart ? TraceEvent::Kind::kStart : TraceEvent::Kind::kWait;
  event.bucket = lane.nodes[i]->attrs().get_or<int64_t>("bucket", -1);
  return event;
}

}  // namespace

void Lane::add(const ScheduleEntry& entry, std::unique_ptr<Kernel> kernel) {
  steps.push_back(kernel.get());
  nodes.push_back(entry.node);
  kinds.push_back(entry.kind);
  every_turn.push_back(entry.every_turn);
  owned.push_back(std::move(kernel));
}

void Lane::note_variables(const Graph& graph) {
  const auto add = [this](const VariableState& variable, std::vector<const VariablePlace*>& to) {
    for (const auto& place : variable.places())
      if (place->device == schedule.device) to.push_back(place.get());
  };
  for (const auto& variable : graph.variables()) add(*variable, places);
  for (const Node* commit : graph.commit_nodes())
    if (!is_publication(*commit) && commit->attrs().has("variables"))
      for (const int64_t id : commit->attrs().get<std::vector<int64_t>>("variables"))
        add(*graph.variables()[static_cast<size_t>(id)], overwritten);
}

void Lane::note_written(const Node& node) {
  for (const int64_t id : node.attrs().get<std::vector<int64_t>>("variables"))
    written.push_back(
        &node.graph().variables()[static_cast<size_t>(id)]->place(*schedule.device).version);
}

void Lane::cut_into_pieces(int num_replicas) {
  const auto begins_piece = [&](size_t i) {
    return i == 0 || i == commit_begin || is_of_collective(kinds[i]) ||
           is_of_collective(kinds[i - 1]) || every_turn[i] != every_turn[i - 1] ||
           std::find(segments.begin(), segments.end(), i) != segments.end();
  };
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!begins_piece(i)) {
      pieces.back().end = i + 1;
      continue;
    }
    Piece& piece = pieces.emplace_back();
    piece.begin = i;
    piece.end = i + 1;
    piece.every_turn = every_turn[i];
    piece.records = !is_of_collective(kinds[i]);
    if (!piece.records) continue;
    const bool apart = values->replica_bytes() > 0;
    piece.recorded = std::vector<RecordedStep>(apart ? static_cast<size_t>(num_replicas) : 1);
    for (RecordedStep& recording : piece.recorded)
      for (const VariablePlace* place : places) recording.add(*place);
  }
}

void Lane::settle() {
  for (const VariablePlace* place : places) place->settle();
  for (const VariablePlace* place : overwritten)
    if (place->arrival) place->arrival->settle_everywhere();
}

void Lane::run(size_t segment, int replica, bool last, TraceRecorder* recorder) {
  const size_t end = segment + 1 < segments.size() ? segments[segment + 1] : commit_begin;
  run_range(segments[segment], end, replica, last, recorder);
}

bool Lane::has_departures() const {
  return std::any_of(overwritten.begin(), overwritten.end(), [](const VariablePlace* place) {
    return place->arrival && dynamic_cast<const Departure*>(place->arrival.get());
  });
}

/// Of what step i writes.
void Lane::let_depart(size_t i) {
  if (!nodes[i] || !nodes[i]->attrs().has("variables")) return;
  for (const int64_t id : nodes[i]->attrs().get<std::vector<int64_t>>("variables"))
    for (const auto& place : nodes[i]->graph().variables()[static_cast<size_t>(id)]->places())
      if (place->device == schedule.device) cohort::let_depart(*place);
}

void Lane::commit(int replica, TraceRecorder* recorder) {
  if (has_departures()) {
    for (size_t i = commit_begin; i < steps.size(); ++i) {
      let_depart(i);
      run_range(i, i + 1, replica, true, recorder);
    }
  } else {
    run_range(commit_begin, steps.size(), replica, true, recorder);
  }
  for (uint64_t* version : written) ++*version;
}

void Lane::run_range(size_t begin, size_t end, int replica, bool last, TraceRecorder* recorder) {
  size_t i = begin;
  try {
    if (recorder) {
      for (; i < end; ++i)
        if (last || every_turn[i]) run_recorded(i, last, *recorder);
    } else if (!pieces.empty()) {
      for (Piece& piece : pieces) {
        if (piece.begin < begin || piece.begin >= end || !(last || piece.every_turn)) continue;
        i = piece.begin;
        run_piece(piece, replica);
      }
    } else if (last) {
      for (; i < end; ++i) steps[i]->run();
    } else {
      for (; i < end; ++i)
        if (every_turn[i]) steps[i]->run();
    }
  } catch (const Error& error) {
    if (!nodes[i]) throw;
    throw error.within(nodes[i]->name());
  }
}

void Lane::run_piece(Piece& piece, int replica) {
  const auto kernels = std::span(steps).subspan(piece.begin, piece.end - piece.begin);
  if (!piece.records) {
    for (Kernel* kernel : kernels) kernel->run();
    return;
  }
  RecordedStep& recording =
      piece.recorded[piece.recorded.size() > 1 ? static_cast<size_t>(replica) : 0];
  if (recording.replay(*schedule.device, kernels)) return;
  for (Kernel* kernel : kernels) kernel->run();
  recording.note_first_run();
}

void Lane::run_recorded(size_t i, bool last, TraceRecorder& recorder) {
  const TraceRecorder::Span span(recorder, event_of(*this, i, last));
  steps[i]->run();
  schedule.device->synchronize();
}

void Lane::drop_recordings() {
  recorded.drop();
  for (Piece& piece : pieces)
    for (RecordedStep& recording : piece.recorded) recording.drop();
}

}  // namespace cohort
