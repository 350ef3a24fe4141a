#include "cohort/distribute/transport/shared_collective.h"

#include "cohort/distribute/transport/describe.h"

namespace cohort::distribute {
SharedCollective::SharedCollective(std::shared_ptr<SharedRank> self, size_t meeting,
                                   const Caller& caller, const Description& description,
                                   void* const* buffer, size_t bytes)
    : self_(std::move(self)),
      buffer_(buffer),
      bytes_(bytes),
      caller_(caller),
      description_(description),
      memory_(group().map_meeting(meeting, bytes <= kSmallBytes)) {
  mine().description = description;
  mine().first_location = bytes == 0 ? kPrivate : group().heap()->offset_of(*buffer, bytes);
  group().signal(mine().prepared, 1);
}

void SharedCollective::wait() {
  if (group().failed()) group().throw_failure();
  if (!agreed_) {
    for (int peer = 0; peer < size(); ++peer) {
      group().wait_for(lines(peer).prepared, 1, peer, caller_);
      compare(peer);
    }
    agree();
    agreed_ = true;
  }
  exchange();
  RankFlight::end(*record_);
}

void SharedCollective::compare(int peer) const {
  const std::vector<int>& ranks = group().options().ranks;
  try {
    check_same_collective(caller_.meeting, description_, ranks[static_cast<size_t>(rank())],
                          lines(peer).description, ranks[static_cast<size_t>(peer)]);
  } catch (const Error& error) {
    group().fail_and_throw(error);
  }
}

void SharedCollective::wait_for_all(std::atomic<uint32_t> RankLines::*counter) const {
  group().wait_for_others({&(lines(0).*counter), sizeof(RankLines)}, call_, caller_);
}

void SharedCollective::wait_for_all_tiny() const {
  group().wait_for_others({&lines(0).tiny[call_ % 2].number, sizeof(RankLines)}, call_, caller_);
}

void SharedCollective::wait_for_all_rounds(std::atomic<uint32_t> WindowLines::*counter,
                                           uint64_t rounds) const {
  group().wait_for_others({&(group().window_lines(0).*counter), sizeof(WindowLines)},
                          static_cast<uint32_t>(rounds), caller_);
}

}  // namespace cohort::distribute
