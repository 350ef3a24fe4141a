#include "cohort/distribute/transport/flight_recorder.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <sstream>

#include "cohort/distribute/transport/describe.h"
#include "cohort/distribute/transport/meeting.h"

namespace cohort::distribute {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// The same clock in all processes of a host, at a few nanoseconds a reading.
int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

std::string describe(const RankHistory::Call& call) {
  return fmt::format("{} (number {}: collective {}, call {})", call.what, call.number,
                     call.collective, call.call);
}

double seconds(int64_t ms) { return static_cast<double>(ms) / 1000; }

std::string describe_last(const RankHistory& history) {
  if (history.calls.empty()) return "it has called nothing";
  const RankHistory::Call& last = history.calls.back();
  if (last.ended_ms_ago < 0)
    return fmt::format("it is still in {}, for {:.1f} s", describe(last),
                       seconds(last.started_ms_ago));
  return fmt::format("its last was {}, which ended {:.1f} s ago", describe(last),
                     seconds(last.ended_ms_ago));
}

}  // namespace

FlightRecord& RankFlight::begin(uint32_t collective, uint32_t call,
                                const Description& description) {
  const uint64_t number = started.load(kRelaxed) + 1;
  FlightRecord& record = ring[number % kFlightRecords];
  record.number.store(0, kRelaxed);
  record.collective.store(collective, kRelaxed);
  record.call.store(call, kRelaxed);
  record.kind.store(static_cast<uint32_t>(description.kind), kRelaxed);
  record.dtype.store(description.dtype, kRelaxed);
  record.op.store(description.op, kRelaxed);
  record.count.store(description.count, kRelaxed);
  record.started_ms.store(now_ms(), kRelaxed);
  record.ended_ms.store(0, kRelaxed);
  record.number.store(number, std::memory_order_release);
  started.store(number, std::memory_order_release);
  return record;
}

void RankFlight::end(FlightRecord& record) { record.ended_ms.store(now_ms(), kRelaxed); }

RankHistory read_flight(const RankFlight& flight, int rank) {
  RankHistory history{.rank = rank};
  const int64_t now = now_ms();
  const uint64_t last = flight.started.load(std::memory_order_acquire);
  const uint64_t first = last < kFlightRecords ? 1 : last - kFlightRecords + 1;
  for (uint64_t number = first; number <= last; ++number) {
    const FlightRecord& record = flight.ring[number % kFlightRecords];
    if (record.number.load(std::memory_order_acquire) != number) continue;  // being overwritten
    Description description{};
    description.kind = static_cast<CollectiveKind>(record.kind.load(kRelaxed));
    description.dtype = record.dtype.load(kRelaxed);
    description.op = record.op.load(kRelaxed);
    description.count = record.count.load(kRelaxed);
    const int64_t ended = record.ended_ms.load(kRelaxed);
    history.calls.push_back({.number = number,
                             .collective = record.collective.load(kRelaxed),
                             .call = record.call.load(kRelaxed),
                             .what = describe_collective(description),
                             .started_ms_ago = now - record.started_ms.load(kRelaxed),
                             .ended_ms_ago = ended == 0 ? -1 : now - ended});
  }
  return history;
}

std::string dump_histories(std::span<const RankHistory> histories) {
  std::string text;
  for (const RankHistory& history : histories) {
    text += fmt::format("rank {}\n", history.rank);
    for (const RankHistory::Call& call : history.calls)
      text += fmt::format("call {} {} {} {} {} {}\n", call.number, call.collective, call.call,
                          call.started_ms_ago, call.ended_ms_ago, call.what);
  }
  return text;
}

std::vector<RankHistory> parse_histories(const std::string& text) {
  std::vector<RankHistory> histories;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "rank") {
      if (int rank = 0; words >> rank) histories.push_back({.rank = rank});
    } else if (kind == "call" && !histories.empty()) {
      RankHistory::Call call;
      if (words >> call.number >> call.collective >> call.call >> call.started_ms_ago >>
              call.ended_ms_ago >> std::ws &&
          std::getline(words, call.what))
        histories.back().calls.push_back(std::move(call));
    }
  }
  return histories;
}

std::string explain_histories(std::span<const RankHistory> histories,
                              std::span<const std::string> names) {
  const RankHistory::Call* furthest = nullptr;
  for (const RankHistory& history : histories)
    if (!history.calls.empty() && (!furthest || history.calls.back().number > furthest->number))
      furthest = &history.calls.back();
  if (!furthest) return "nobody has called anything";
  std::string late, inside;
  for (const RankHistory& history : histories) {
    const auto r = static_cast<size_t>(history.rank);
    const std::string name = r < names.size() ? names[r] : fmt::format("rank {}", history.rank);
    const uint64_t number = history.calls.empty() ? 0 : history.calls.back().number;
    if (number < furthest->number)
      late += fmt::format("{}{} never called {}; {}", late.empty() ? "" : "\n", name,
                          describe(*furthest), describe_last(history));
    else if (history.calls.back().ended_ms_ago < 0)
      inside += fmt::format("{}{}: {}", inside.empty() ? "" : "\n", name, describe_last(history));
  }
  if (!late.empty()) return late;
  return inside.empty() ? "all have ended " + describe(*furthest) : inside;
}

}  // namespace cohort::distribute
