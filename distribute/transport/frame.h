#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

/// What travels on a connection between two nodes (hosts, each spoken for by one process): frames
/// of a FrameHeader and `bytes` bytes, little-endian, between a Greeting and a kGoodbye.
namespace cohort::distribute {

inline constexpr uint32_t kFrameMagic = 0x54524843;  // "CHRT"
inline constexpr uint8_t kFrameVersion = 3;
inline constexpr size_t kMaxFrameBytes = size_t{256} << 10;
inline constexpr size_t kMaxMessage = 1000;  ///< of an abort

enum class FrameKind : uint8_t {
  kDescribe = 1,  ///< Descriptions of the sender's ranks for a collective
  kPartial = 2,   ///< sums of the block of rank `part`, for the owner of these elements
  kResult = 3,    ///< finished elements, from their owner
  kBlock = 4,     ///< bytes of rank `part`, for a gather or broadcast
  kAbort = 5,     ///< an error code in `part` and a message: the group has failed
  kGoodbye = 6,   ///< the sender leaves in order; nothing follows
  kMoving = 7,    ///< data moves at the sender, for whom others have waited a while
  // Of a message port, where `collective` is the method and `offset` what is still to come.
  kHello = 8,    ///< who the sender is and its secret; the first frame both ways
  kRequest = 9,  ///< part of request `call`
  kReply = 10,   ///< part of the reply to it; or an error code in `part` and a message
};

/// Frames of a collective, rather than of the connection.
inline bool has_data(FrameKind kind) { return kind < FrameKind::kAbort; }

struct FrameHeader {
  uint32_t magic = kFrameMagic;
  uint8_t version = kFrameVersion;
  FrameKind kind{};
  uint16_t reserved = 0;
  uint32_t collective = 0;  ///< the n-th of the group
  uint32_t call = 0;        ///< the n-th of the collective, from 1
  uint32_t part = 0;
  uint32_t bytes = 0;
  uint64_t offset = 0;  ///< in bytes
};
static_assert(sizeof(FrameHeader) == 32);

/// What is left of a frame of which `sent` bytes have left: the header's part and the payload's.
std::span<const iovec> rest_of_frame(const FrameHeader& frame, const char* data, size_t sent,
                                     std::array<iovec, 2>& parts);

/// The first bytes on a connection, both ways.
struct Greeting {
  uint32_t magic = kFrameMagic;
  uint32_t version = kFrameVersion;
  int32_t node = 0;
  int32_t num_nodes = 0;
  char secret[32] = {};  ///< that the receiver put into the store
};
static_assert(sizeof(Greeting) == 48);

}  // namespace cohort::distribute
