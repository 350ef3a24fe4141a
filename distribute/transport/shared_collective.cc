#include "cohort/distribute/transport/shared_collective.h"

#include "cohort/distribute/transport/describe.h"

namespace cohort::distribute {
SharedCollective::SharedCollective(std::shared_ptr<SharedRank> self, const CollectiveSpec& spec)
    : self_(std::move(self)),
      buffer_(spec.buffer),
      bytes_(static_cast<size_t>(spec.count) * size_of(spec.dtype)),
      description_(spec),
      caller_{.what = collective_name(spec.kind).data(),
              .rank = self_->rank,
              .meeting = self_->meetings++,
              .count = spec.count,
              .unit = dtype_name(spec.dtype).data()},
      memory_(group().map_meeting(caller_.meeting, bytes_ <= kSmallBytes)) {
  mine().description = description_;
  mine().first_location = bytes_ == 0 ? kPrivate : group().heap()->offset_of(*buffer_, bytes_);
  group().signal(mine().prepared, 1);
}

void PeerBuffers::tell(const HostGroup& group, RankLines& mine, void* buffer, size_t bytes) {
  if (buffer == last_) return;
  last_ = buffer;
  mine.location = group.heap()->offset_of(buffer, bytes);
}

void PeerBuffers::find(const HostGroup& group, const RankLines* lines, int rank, void* buffer) {
  for (int peer = 0; peer < group.size(); ++peer) {
    const auto p = static_cast<size_t>(peer);
    const uint64_t location = lines[peer].location;
    const Description& description = lines[peer].description;
    if (description.bytes() == 0 || (location == seen_[p] && location != kPrivate)) continue;
    if (location == kPrivate)
      group.fail_and_throw(
          FailedPrecondition("{}: got memory of {} that is from allocate_bucket no longer",
                             collective_name(description.kind), group.describe_rank(peer)));
    seen_[p] = location;
    if (peer != rank) mappings_[p] = group.map_buffer(peer, location, description.bytes());
    all_[p] = mappings_[p].get();
  }
  all_[static_cast<size_t>(rank)] = static_cast<char*>(buffer);
}

SharedCollective::~SharedCollective() { group().leave_meeting(caller_.meeting, &lines(0), rank()); }

void SharedCollective::do_wait() {
  group().expect_whole();
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
