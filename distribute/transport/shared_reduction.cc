#include <algorithm>
#include <cstring>

#include "cohort/distribute/sum_loops.h"
#include "cohort/distribute/transport/shared_collective.h"
#include "cohort/distribute/transport/tree_sum.h"

namespace cohort::distribute {
namespace {

/// What rank `rank` of `size` adds: whole cache lines.
ElementRange share_of(int rank, int size, int64_t count, size_t element) {
  const int64_t line = 64 / static_cast<int64_t>(element);
  const int64_t lines = (count + line - 1) / line;
  return {std::min(count, lines * rank / size * line),
          std::min(count, lines * (rank + 1) / size * line)};
}

class SharedReduction : public SharedCollective {
 public:
  SharedReduction(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : SharedCollective(self, spec),
        element_(size_of(spec.dtype)),
        num_elements_(spec.count),
        sum_(self->block_sizes, spec.dtype, spec.op) {}

 protected:
  /// Of so many elements of every other rank.
  void count_others(int64_t elements) {
    count_payload(static_cast<uint64_t>(size() - 1) * static_cast<uint64_t>(elements) * element_);
  }
  char* own(int64_t element) const {
    return static_cast<char*>(*buffer_) + element * static_cast<int64_t>(element_);
  }

  const size_t element_;
  const int64_t num_elements_;
  TreeSum sum_;
};

class TinyAllReduce final : public SharedReduction {
 public:
  TinyAllReduce(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : SharedReduction(self, spec) {
    for (const uint32_t parity : {0u, 1u})
      for (int peer = 0; peer < size(); ++peer)
        payloads_[parity].push_back(lines(peer).tiny[parity].payload);
  }

 private:
  void do_start() override {
    begin_call();
    TinyLine& line = mine().tiny[call_ % 2];
    if (bytes_ > 0) std::memcpy(line.payload, *buffer_, bytes_);
    group().signal(line.number, call_);
  }

  void exchange() override {
    wait_for_all_tiny();
    sum_.into(static_cast<char*>(*buffer_), payloads_[call_ % 2], num_elements_);
    count_others(num_elements_);
  }

  std::vector<const char*> payloads_[2];
};

/// Through slots or in buckets; a subclass says who gets what.
class BufferReduction : public SharedReduction {
 public:
  BufferReduction(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : SharedReduction(self, spec),
        peers_(size()),
        buffers_(peers_.all()),
        sources_(buffers_.size()),
        in_bucket_(mine().first_location != kPrivate) {
    for (call_ = 0; small() && call_ < 2; ++call_)
      for (int peer = 0; peer < size(); ++peer) slots_[call_].push_back(slot(peer));
    call_ = 0;
  }

 protected:
  /// Adds [begin, begin + count) of buffers_, which are in buckets, for whoever gets it.
  virtual void add(int64_t begin, int64_t count) = 0;
  /// What of the buckets this rank adds.
  virtual ElementRange bucket_share() const = 0;
  /// What of the slots it adds: what it gets.
  virtual ElementRange slot_share() const = 0;
  virtual void pass_through_windows() = 0;

  /// A round's part of this rank has been copied in, and so on.
  void signal_round(std::atomic<uint32_t> WindowLines::*stage, uint64_t round) {
    group().signal(group().window_lines(rank()).*stage, static_cast<uint32_t>(round + 1));
  }

  PeerBuffers peers_;
  std::vector<char*>& buffers_;
  std::vector<const char*> sources_;

 private:
  void do_start() override {
    begin_call();
    if (!in_bucket_) {
      if (small() && bytes_ > 0) copy_for_others(slot(rank()), *buffer_, bytes_);
    } else {
      peers_.tell(group(), mine(), *buffer_, bytes_);
    }
    group().signal(mine().ready, call_);
  }

  void agree() override {
    for (int peer = 0; peer < size(); ++peer)
      num_in_bucket_ += lines(peer).first_location != kPrivate ? 1 : 0;
    if (num_in_bucket_ < size() && !small()) group().map_windows();
  }

  void exchange() override {
    if (num_in_bucket_ < size()) return small() ? pass_through_slots() : pass_through_windows();
    wait_for_all(&RankLines::ready);
    peers_.find(group(), &lines(0), rank(), *buffer_);
    add_share();
    group().signal(mine().done, call_);
    wait_for_all(&RankLines::done);
  }

  /// In pieces, so that those who wait see that it gets on.
  void add_share() {
    const int64_t piece = kAddedBytes / static_cast<int64_t>(element_);
    std::atomic<uint32_t>& added = group().window_lines(rank()).added;
    const ElementRange share = bucket_share();
    for (int64_t at = share.begin; at < share.end; at += piece) {
      add(at, std::min(piece, share.end - at));
      if (share.end - at > piece)
        added.store(added.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }

  void pass_through_slots() {
    if (num_in_bucket_ == 0) {
      wait_for_all(&RankLines::ready);
    } else {  // only now do those in buckets know that some are not
      if (in_bucket_) copy_for_others(slot(rank()), *buffer_, bytes_);
      group().signal(mine().done, call_);
      wait_for_all(&RankLines::done);
    }
    const ElementRange share = slot_share();
    for (size_t peer = 0; peer < sources_.size(); ++peer)
      sources_[peer] = slots_[call_ % 2][peer] + share.begin * static_cast<int64_t>(element_);
    sum_.into(own(share.begin), sources_, share.count());
    count_others(share.count());
  }

  int num_in_bucket_ = 0;  ///< ranks
  const bool in_bucket_;
  std::vector<const char*> slots_[2];
};

class BufferAllReduce final : public BufferReduction {
 public:
  BufferAllReduce(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : BufferReduction(self, spec), share_(share_of(rank(), size(), num_elements_, element_)) {}

 private:
  void add(int64_t begin, int64_t count) override {
    sum_.in_place(buffers_, begin, count);
    count_others(2 * count);
  }
  ElementRange bucket_share() const override { return share_; }
  ElementRange slot_share() const override { return {0, num_elements_}; }

  // Round t of this call: elements [t * per_round, (t + 1) * per_round).
  void pass_through_windows() override {
    const auto per_round = static_cast<int64_t>(group().layout().round_bytes() / element_);
    const int64_t rounds = (num_elements_ + per_round - 1) / per_round;
    const uint64_t base = self_->rounds;
    const auto count = [&](int64_t t) {
      return std::min(per_round, num_elements_ - t * per_round);
    };
    for (int64_t t = 0; t < rounds + 2; ++t) {
      if (t < rounds) fill(base + static_cast<uint64_t>(t), t * per_round, count(t));
      if (t >= 1 && t - 1 < rounds)
        reduce(base + static_cast<uint64_t>(t - 1), (t - 1) * per_round, count(t - 1));
      if (t >= 2) drain(base + static_cast<uint64_t>(t - 2), (t - 2) * per_round, count(t - 2));
    }
    self_->rounds += static_cast<uint64_t>(rounds);
  }

  // What a rank adds itself never leaves its memory: the others' shares of it go into its window,
  // where they put their sums.
  void fill(uint64_t round, int64_t begin, int64_t count) {
    copy_others(group().window_slot(rank(), round), own(begin), count);
    signal_round(&WindowLines::filled, round);
  }

  void reduce(uint64_t round, int64_t begin, int64_t count) {
    wait_for_all_rounds(&WindowLines::filled, round + 1);
    for (int peer = 0; peer < size(); ++peer)
      buffers_[static_cast<size_t>(peer)] =
          peer == rank() ? own(begin) : group().window_slot(peer, round);
    const ElementRange share = share_of(rank(), size(), count, element_);
    add(share.begin, share.count());
    signal_round(&WindowLines::reduced, round);
  }

  void drain(uint64_t round, int64_t begin, int64_t count) {
    wait_for_all_rounds(&WindowLines::reduced, round + 1);
    copy_others(own(begin), group().window_slot(rank(), round), count);
    signal_round(&WindowLines::drained, round);
  }

  /// Of a round's elements those that others add.
  void copy_others(char* to, const char* from, int64_t count) const {
    const ElementRange share = share_of(rank(), size(), count, element_);
    const auto bytes = [this](int64_t elements) {
      return static_cast<size_t>(elements) * element_;
    };
    std::memcpy(to, from, bytes(share.begin));
    std::memcpy(to + bytes(share.end), from + bytes(share.end), bytes(count - share.end));
  }

  const ElementRange share_;
};

class SharedReduceScatter final : public BufferReduction {
 public:
  SharedReduceScatter(const std::shared_ptr<SharedRank>& self, const CollectiveSpec& spec)
      : BufferReduction(self, spec), each_(num_elements_ / size()) {}

 private:
  void add(int64_t begin, int64_t count) override {
    for (size_t peer = 0; peer < sources_.size(); ++peer)
      sources_[peer] = buffers_[peer] + begin * static_cast<int64_t>(element_);
    sum_.into(own(begin), sources_, count);
    count_others(count);
  }
  ElementRange bucket_share() const override { return {rank() * each_, (rank() + 1) * each_}; }
  ElementRange slot_share() const override { return bucket_share(); }

  // Round t of this call: elements [t * per_round, (t + 1) * per_round) of every rank's range, one
  // after the other.
  void pass_through_windows() override {
    const auto per_round = static_cast<int64_t>(group().layout().round_bytes() / element_) / size();
    const int64_t rounds = (each_ + per_round - 1) / per_round;
    const uint64_t base = self_->rounds;
    const auto count = [&](int64_t t) { return std::min(per_round, each_ - t * per_round); };
    for (int64_t t = 0; t <= rounds; ++t) {
      const uint64_t round = base + static_cast<uint64_t>(t);
      if (t < rounds) fill(round, base, t * per_round, count(t));
      if (t > 0) reduce(round - 1, (t - 1) * per_round, count(t - 1));
    }
    self_->rounds += static_cast<uint64_t>(rounds);
    if (rounds == 0) return;
    wait_for_all_rounds(&WindowLines::reduced, self_->rounds);
    signal_round(&WindowLines::drained, self_->rounds - 1);
  }

  void fill(uint64_t round, uint64_t base, int64_t at, int64_t count) {
    // All have read the slot's last round.
    if (round >= base + kWindowSlots)
      wait_for_all_rounds(&WindowLines::reduced, round + 1 - kWindowSlots);
    const size_t bytes = static_cast<size_t>(count) * element_;
    char* to = group().window_slot(rank(), round);
    for (int owner = 0; owner < size(); ++owner, to += bytes)
      if (owner != rank()) std::memcpy(to, own(owner * each_ + at), bytes);
    signal_round(&WindowLines::filled, round);
  }

  void reduce(uint64_t round, int64_t at, int64_t count) {
    wait_for_all_rounds(&WindowLines::filled, round + 1);
    for (int peer = 0; peer < size(); ++peer)
      sources_[static_cast<size_t>(peer)] =
          peer == rank()
              ? own(rank() * each_ + at)
              : group().window_slot(peer, round) + rank() * count * static_cast<int64_t>(element_);
    sum_.into(own(rank() * each_ + at), sources_, count);
    count_others(count);
    signal_round(&WindowLines::reduced, round);
  }

  const int64_t each_;  ///< elements of a rank
};

}  // namespace

std::unique_ptr<SharedCollective> make_shared_reduction(const std::shared_ptr<SharedRank>& self,
                                                        const CollectiveSpec& spec) {
  const size_t bytes = static_cast<size_t>(spec.count) * size_of(spec.dtype);
  if (spec.kind == CollectiveKind::kReduceScatter)
    return std::make_unique<SharedReduceScatter>(self, spec);
  if (bytes <= kTinyBytes) return std::make_unique<TinyAllReduce>(self, spec);
  return std::make_unique<BufferAllReduce>(self, spec);
}

}  // namespace cohort::distribute
