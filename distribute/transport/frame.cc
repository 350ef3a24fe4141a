#include "cohort/distribute/transport/frame.h"

#include <algorithm>

namespace cohort::distribute {

std::span<const iovec> rest_of_frame(const FrameHeader& frame, const char* data, size_t sent,
                                     std::array<iovec, 2>& parts) {
  const size_t header_left = sizeof frame - std::min(sizeof frame, sent);
  const size_t data_sent = sent - (sizeof frame - header_left);
  parts = {
      iovec{const_cast<char*>(reinterpret_cast<const char*>(&frame)) + (sizeof frame - header_left),
            header_left},
      iovec{const_cast<char*>(data) + data_sent, frame.bytes - data_sent}};
  const size_t first = header_left > 0 ? 0 : 1;
  const size_t end = frame.bytes > data_sent ? 2 : 1;
  return std::span<const iovec>(parts).subspan(first, end - first);
}

}  // namespace cohort::distribute
