#include <algorithm>
#include <cstring>

#include "cohort/distribute/transport/shared_collective.h"

namespace cohort::distribute {
namespace {

/// What every rank gives, one after the other, in the output. Of a broadcast the root gives all,
/// and the output is the buffer.
class SharedCopy final : public SharedCollective {
 public:
  SharedCopy(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : SharedCollective(self, spec),
        broadcasts_(spec.kind == CollectiveKind::kBroadcast),
        lazy_(spec.lazy),
        root_(spec.root),
        output_(broadcasts_ ? spec.buffer : spec.output),
        peers_(size()),
        in_bucket_(bytes_ == 0 || mine().first_location != kPrivate) {
    if (lazy_ && !in_bucket_)
      throw InvalidArgument("{}: got a lazy one of memory that is not from allocate_bucket",
                            collective_name(spec.kind));
  }

  /// What others have not taken yet stays for them.
  ~SharedCopy() override {
    if (lazy_ && call_ > 0 && !all_have_taken()) group().heap()->leave_to_others(*buffer_);
  }

 private:
  void do_start() override {
    begin_call();
    if (in_bucket_ && bytes_ > 0) peers_.tell(group(), mine(), *buffer_, bytes_);
    if (const size_t bytes = bytes_of(rank()); small() && bytes > 0)
      std::memcpy(slot(rank()), *buffer_, bytes);
    group().signal(mine().ready, call_);
  }

  size_t bytes_of(int rank) const {
    return broadcasts_ && rank != root_ ? 0 : description_of(rank).bytes();
  }
  /// Whether this rank's output has what it gave, which need not be copied.
  bool is_there(const char* to) const { return to == *buffer_; }

  void agree() override {
    bool all_in_buckets = !broadcasts_;
    for (int peer = 0; peer < size(); ++peer) {
      most_ = std::max(most_, bytes_of(peer));
      all_in_buckets =
          all_in_buckets && (bytes_of(peer) == 0 || lines(peer).first_location != kPrivate);
    }
    direct_ = most_ > kSmallBytes && all_in_buckets;
    if (most_ > kSmallBytes && !direct_) group().map_windows();
  }

  bool all_have_taken() const {
    for (int peer = 0; peer < size(); ++peer)
      if (!reached(lines(peer).done, call_)) return false;
    return true;
  }

  void exchange() override {
    if (direct_)
      copy_from_buckets();
    else if (most_ > kSmallBytes)
      pass_through_windows();
    else
      pass_through_slots();
    for (int peer = 0; peer < size(); ++peer)
      if (peer != rank()) count_payload(bytes_of(peer));
  }

  void copy_from_buckets() {
    wait_for_all(&RankLines::ready);
    peers_.find(group(), &lines(0), rank(), *buffer_);
    char* to = static_cast<char*>(*output_);
    for (int peer = 0; peer < size(); ++peer) {
      copy_from(peer, to);
      to += bytes_of(peer);
    }
    group().signal(mine().done, call_);
    if (!lazy_) wait_for_all(&RankLines::done);
  }

  /// In pieces, so that those who wait see that it gets on.
  void copy_from(int peer, char* to) const {
    if (peer == rank() && is_there(to)) return;
    const char* from = peers_.all()[static_cast<size_t>(peer)];
    constexpr auto kPiece = static_cast<size_t>(kAddedBytes);
    for (size_t at = 0; at < bytes_of(peer); at += kPiece) {
      std::memcpy(to + at, from + at, std::min(kPiece, bytes_of(peer) - at));
      group().note_movement();
    }
  }

  void wait_for_others() override {
    if (call_ > 0) wait_for_all(&RankLines::done);
  }

  void pass_through_slots() {
    wait_for_all(&RankLines::ready);
    char* to = static_cast<char*>(*output_);
    for (int peer = 0; peer < size(); ++peer) {
      const size_t bytes = bytes_of(peer);
      if (bytes > 0 && !(peer == rank() && is_there(to))) std::memcpy(to, slot(peer), bytes);
      to += bytes;
    }
    if (lazy_) group().signal(mine().done, call_);
  }

  void pass_through_windows() {
    const size_t per_round = group().layout().round_bytes();
    const uint64_t base = self_->rounds, rounds = (most_ + per_round - 1) / per_round;
    for (uint64_t t = 0; t <= rounds; ++t) {
      if (t < rounds) fill(base + t, t * per_round);
      if (t > 0) drain(base + t - 1, (t - 1) * per_round);
    }
    wait_for_all_rounds(&WindowLines::drained, base + rounds);
    self_->rounds += rounds;
  }

  /// Bytes of `rank` in the round that begins at `at`.
  size_t part(int rank, size_t at) const {
    const size_t bytes = bytes_of(rank);
    return std::min(group().layout().round_bytes(), bytes - std::min(at, bytes));
  }

  void fill(uint64_t round, size_t at) {
    // The slot's last round must have been read by all.
    if (round >= kWindowSlots) wait_for_all_rounds(&WindowLines::drained, round + 1 - kWindowSlots);
    if (const size_t bytes = part(rank(), at); bytes > 0)
      std::memcpy(group().window_slot(rank(), round), static_cast<const char*>(*buffer_) + at,
                  bytes);
    group().signal(group().window_lines(rank()).filled, static_cast<uint32_t>(round + 1));
  }

  void drain(uint64_t round, size_t at) {
    wait_for_all_rounds(&WindowLines::filled, round + 1);
    char* to = static_cast<char*>(*output_);
    for (int peer = 0; peer < size(); ++peer) {
      if (const size_t bytes = part(peer, at); bytes > 0 && !(peer == rank() && is_there(to)))
        std::memcpy(to + at, group().window_slot(peer, round), bytes);
      to += bytes_of(peer);
    }
    group().signal(group().window_lines(rank()).drained, static_cast<uint32_t>(round + 1));
  }

  const bool broadcasts_;
  const bool lazy_;
  const int root_;
  void* const* const output_;
  PeerBuffers peers_;
  const bool in_bucket_;
  size_t most_ = 0;
  bool direct_ = false;  ///< from buckets
};

}  // namespace

std::unique_ptr<SharedCollective> make_shared_copy(const std::shared_ptr<SharedRank>& self,
                                                   const CollectiveSpec& spec) {
  return std::make_unique<SharedCopy>(self, spec);
}

}  // namespace cohort::distribute
