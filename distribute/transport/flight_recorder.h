#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// The latest collectives of every rank, kept in memory that the host's processes share: what a
/// rank did can be read when its process hangs or has ended.
namespace cohort::distribute {

struct Description;

/// One collective that a rank has started. Written by the rank, read by others at any time.
struct FlightRecord {
  std::atomic<uint64_t> number;  ///< the n-th that the rank has started, from 1; 0: none
  std::atomic<uint32_t> collective;
  std::atomic<uint32_t> call;
  std::atomic<uint32_t> kind, dtype, op;
  std::atomic<int64_t> count;
  std::atomic<int64_t> started_ms, ended_ms;  ///< of the host's clock; ended 0: not yet
};

inline constexpr uint64_t kFlightRecords = 32;

struct alignas(64) RankFlight {
  std::atomic<uint64_t> started;
  std::array<FlightRecord, kFlightRecords> ring;

  /// The rank starts a call. Allocates nothing; some nanoseconds.
  FlightRecord& begin(uint32_t collective, uint32_t call, const Description& description);
  static void end(FlightRecord& record);
};

/// What a rank's records say, from any host.
struct RankHistory {
  struct Call {
    uint64_t number = 0;
    uint32_t collective = 0, call = 0;
    std::string what;  ///< "all_reduce (sum) of 1000 float32"
    int64_t started_ms_ago = 0;
    int64_t ended_ms_ago = -1;  ///< -1: not yet
  };
  int rank = 0;
  std::vector<Call> calls;  ///< the latest last
};

RankHistory read_flight(const RankFlight& flight, int rank);

// A host's histories as text, and back. Lines that are none are left out.
std::string dump_histories(std::span<const RankHistory> histories);
std::vector<RankHistory> parse_histories(const std::string& text);

/// Who has not called what others have, one line for each such rank: "rank 2 (worker 1) never
/// called all_reduce (sum) of 1000 float32 (number 1841: collective 3, call 614); its last was …".
/// Where all have called the same, who has not left it. `names`: of all ranks.
std::string explain_histories(std::span<const RankHistory> histories,
                              std::span<const std::string> names);

}  // namespace cohort::distribute
