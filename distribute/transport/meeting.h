#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/transport/flight_recorder.h"
#include "cohort/distribute/transport/shared_file.h"

/// What the ranks of one host see of each other: the layout of their control file. All of it starts
/// as zeros. Counters run with the calls and wrap; `reached` compares them.
namespace cohort::distribute {

inline bool reached(const std::atomic<uint32_t>& counter, uint32_t value) {
  return static_cast<int32_t>(counter.load(std::memory_order_acquire) - value) >= 0;
}

/// What a rank says that it prepared as its n-th collective.
struct Description {
  Description() = default;
  explicit Description(const CollectiveSpec& spec);

  size_t bytes() const { return static_cast<size_t>(count) * size_of(static_cast<DType>(dtype)); }

  CollectiveKind kind;
  uint32_t dtype;
  uint32_t op;       ///< of a broadcast: its root
  uint32_t sent_as;  ///< between hosts: the DType in which f32 travels; 0: as it is
  int64_t count;     ///< elements of the buffer
};

/// Where a rank's buffer is: an offset in the heap of its process, or in private memory.
inline constexpr uint64_t kPrivate = ~uint64_t{0};

inline constexpr size_t kTinyBytes = 56;
inline constexpr size_t kSmallBytes = size_t{16} << 10;

/// Number and payload of a tiny call, together on one line.
struct alignas(64) TinyLine {
  std::atomic<uint32_t> number;
  uint32_t padding;
  char payload[kTinyBytes];
};

/// One rank's part of a meeting, which is the n-th collective of every rank, called again and
/// again.
struct RankLines {
  alignas(64) std::atomic<uint32_t> ready;  ///< calls started: the buffer may be read
  uint64_t location;
  alignas(64) std::atomic<uint32_t> done;  ///< calls whose buffers this rank has left
  uint64_t result;        ///< over a network: where the first process's heap has what was gathered
  uint64_t result_bytes;  ///< of one call, padded; two calls take turns
  uint64_t result_used;   ///< of one call
  alignas(64) std::atomic<uint32_t> taken;  ///< over a network: calls whose result was copied out
  alignas(64) std::atomic<uint32_t> prepared;
  Description description;
  uint64_t first_location;     ///< when it was prepared
  std::atomic<uint32_t> left;  ///< the rank has dropped it
  TinyLine tiny[2];            ///< even and odd calls
};

/// How far a rank is in the rounds of collectives that pass through windows. Rounds are counted
/// over all collectives of the group.
struct WindowLines {
  alignas(64) std::atomic<uint32_t> filled;   ///< rounds that this rank has copied in
  alignas(64) std::atomic<uint32_t> reduced;  ///< rounds in which it has added its share
  alignas(64) std::atomic<uint32_t> drained;  ///< rounds that it has copied out
  std::atomic<uint32_t> added;  ///< in buckets: pieces of kAddedBytes that it has added
};
inline constexpr uint64_t kWindowSlots = 3;  ///< rounds in flight
inline constexpr size_t kWindowChunk = size_t{128} << 10;
inline constexpr int64_t kAddedBytes = int64_t{64} << 20;

/// The head of the file.
struct ControlHead {
  std::atomic<uint32_t> failed;  ///< 0 no, 1 somebody is writing the error, 2 it stands here
  uint32_t code;
  char message[1000];
  alignas(64) std::atomic<uint32_t> sleepers;  ///< ranks inside a futex wait
  alignas(64) std::atomic<uint32_t> moves;     ///< counts up now and then while data moves
};

/// Offsets in the control file of a group of `num_ranks`.
struct ControlLayout {
  explicit ControlLayout(int num_ranks) : ranks(static_cast<size_t>(num_ranks)) {}

  static constexpr size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
  }
  static constexpr size_t window_lines() { return kSmallPage; }
  size_t flights() const { return window_lines() + ranks * sizeof(WindowLines); }
  size_t head_bytes() const { return round_up(flights() + ranks * sizeof(RankFlight), kSmallPage); }
  /// Bytes of one rank that pass in one round.
  size_t round_bytes() const { return ranks * kWindowChunk; }
  size_t window_bytes() const { return round_up(kWindowSlots * round_bytes(), kHugePage); }
  uint64_t window(size_t rank) const {
    return round_up(head_bytes(), kHugePage) + rank * window_bytes();
  }

  // A meeting: the lines of every rank, then, for small calls alone, two slots of every rank.
  size_t lines_bytes() const { return round_up(ranks * sizeof(RankLines), kSmallPage); }
  size_t slot(size_t rank, uint32_t call) const {
    return lines_bytes() + (rank * 2 + call % 2) * kSmallBytes;
  }
  size_t meeting_bytes() const { return lines_bytes() + ranks * 2 * kSmallBytes; }
  uint64_t meeting(size_t index) const { return window(ranks) + index * meeting_bytes(); }

  size_t ranks;
};

}  // namespace cohort::distribute
