#include "cohort/distribute/transport/shared_memory.h"

#include <algorithm>
#include <cstring>

#include "cohort/distribute/sum_loops.h"
#include "cohort/distribute/transport/shared_collective.h"
#include "cohort/distribute/transport/tree_sum.h"

namespace cohort::distribute {
namespace {

/// Elements [begin, end) of `count` that rank `rank` of `size` adds: whole cache lines.
struct Share {
  Share(int rank, int size, int64_t count, DType dtype) {
    const int64_t line = 64 / static_cast<int64_t>(size_of(dtype));
    const int64_t lines = (count + line - 1) / line;
    begin = std::min(count, lines * rank / size * line);
    end = std::min(count, lines * (rank + 1) / size * line);
  }
  int64_t begin, end;
};

class SharedAllReduce : public SharedCollective {
 public:
  SharedAllReduce(const std::shared_ptr<SharedRank>& self, size_t meeting, void* const* buffer,
                  DType dtype, int64_t num_elements, ops::ReduceOp op)
      : SharedCollective(self, meeting,
                         {.what = "all_reduce",
                          .rank = self->rank,
                          .meeting = meeting,
                          .count = num_elements,
                          .unit = dtype_name(dtype).data()},
                         {.kind = CollectiveKind::kAllReduce,
                          .dtype = static_cast<uint32_t>(dtype),
                          .op = static_cast<uint32_t>(op),
                          .count = num_elements},
                         buffer, static_cast<size_t>(num_elements) * size_of(dtype)),
        dtype_(dtype),
        num_elements_(num_elements),
        sum_(self->block_sizes, dtype, op) {}

 protected:
  const DType dtype_;
  const int64_t num_elements_;
  TreeSum sum_;
};

class TinyAllReduce final : public SharedAllReduce {
 public:
  template <class... Args>
  explicit TinyAllReduce(Args&&... args) : SharedAllReduce(std::forward<Args>(args)...) {
    for (const uint32_t parity : {0u, 1u})
      for (int peer = 0; peer < size(); ++peer)
        payloads_[parity].push_back(lines(peer).tiny[parity].payload);
  }

  void start() override {
    begin_call();
    TinyLine& line = mine().tiny[call_ % 2];
    if (bytes_ > 0) std::memcpy(line.payload, *buffer_, bytes_);
    group().signal(line.number, call_);
  }

 private:
  void exchange() override {
    wait_for_all_tiny();
    sum_.into(static_cast<char*>(*buffer_), payloads_[call_ % 2], num_elements_);
  }

  std::vector<const char*> payloads_[2];
};

class BufferAllReduce final : public SharedAllReduce {
 public:
  template <class... Args>
  explicit BufferAllReduce(Args&&... args)
      : SharedAllReduce(std::forward<Args>(args)...),
        share_(rank(), size(), num_elements_, dtype_),
        seen_(static_cast<size_t>(size()), kPrivate),
        mappings_(seen_.size()),
        buffers_(seen_.size()),
        in_bucket_(mine().first_location != kPrivate) {
    for (call_ = 0; small() && call_ < 2; ++call_)
      for (int peer = 0; peer < size(); ++peer) slots_[call_].push_back(slot(peer));
    call_ = 0;
  }

  void start() override {
    begin_call();
    if (!in_bucket_) {
      if (small()) copy_for_others(slot(rank()), *buffer_, bytes_);
    } else if (*buffer_ != last_) {
      last_ = *buffer_;
      mine().location = group().heap()->offset_of(last_, bytes_);
    }
    group().signal(mine().ready, call_);
  }

 private:
  void agree() override {
    for (int peer = 0; peer < size(); ++peer)
      num_in_bucket_ += lines(peer).first_location != kPrivate ? 1 : 0;
    if (num_in_bucket_ < size() && !small()) group().map_windows();
  }

  void exchange() override {
    if (num_in_bucket_ < size()) return small() ? pass_through_slots() : pass_through_windows();
    wait_for_all(&RankLines::ready);
    find_buffers();
    add_share();
    group().signal(mine().done, call_);
    wait_for_all(&RankLines::done);
  }

  /// In pieces, so that those who wait see that it gets on.
  void add_share() {
    const int64_t piece = kAddedBytes / static_cast<int64_t>(size_of(dtype_));
    std::atomic<uint32_t>& added = group().window_lines(rank()).added;
    for (int64_t at = share_.begin; at < share_.end; at += piece) {
      sum_.in_place(buffers_, at, std::min(piece, share_.end - at));
      if (share_.end - at > piece)
        added.store(added.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }

  void find_buffers() {
    for (int peer = 0; peer < size(); ++peer) {
      const auto p = static_cast<size_t>(peer);
      const uint64_t location = lines(peer).location;
      if (location == seen_[p] && location != kPrivate) continue;
      if (location == kPrivate)
        group().fail_and_throw(FailedPrecondition(
            "all_reduce: got memory of {} that is from allocate_bucket no longer",
            group().describe_rank(peer)));
      seen_[p] = location;
      if (peer != rank()) mappings_[p] = group().map_buffer(peer, location, bytes_);
      buffers_[p] = mappings_[p].get();
    }
    buffers_[static_cast<size_t>(rank())] = static_cast<char*>(*buffer_);
  }

  void pass_through_slots() {
    if (num_in_bucket_ == 0) {
      wait_for_all(&RankLines::ready);
    } else {  // only now do those in buckets know that some are not
      if (in_bucket_) copy_for_others(slot(rank()), *buffer_, bytes_);
      group().signal(mine().done, call_);
      wait_for_all(&RankLines::done);
    }
    sum_.into(static_cast<char*>(*buffer_), slots_[call_ % 2], num_elements_);
  }

  // Round t of this call: elements [t * per_round, (t + 1) * per_round).
  void pass_through_windows() {
    const auto per_round = static_cast<int64_t>(group().layout().round_bytes() / size_of(dtype_));
    const int64_t rounds = (num_elements_ + per_round - 1) / per_round;
    const uint64_t base = self_->rounds;
    const auto count = [&](int64_t t) {
      return std::min(per_round, num_elements_ - t * per_round);
    };
    for (int64_t t = 0; t < rounds + 2; ++t) {
      if (t < rounds) fill(base + static_cast<uint64_t>(t), t * per_round, count(t));
      if (t >= 1 && t - 1 < rounds) reduce(base + static_cast<uint64_t>(t - 1), count(t - 1));
      if (t >= 2) drain(base + static_cast<uint64_t>(t - 2), (t - 2) * per_round, count(t - 2));
    }
    self_->rounds += static_cast<uint64_t>(rounds);
  }

  char* private_at(int64_t element) const {
    return static_cast<char*>(*buffer_) + element * static_cast<int64_t>(size_of(dtype_));
  }

  void fill(uint64_t round, int64_t begin, int64_t count) {
    std::memcpy(group().window_slot(rank(), round), private_at(begin),
                static_cast<size_t>(count) * size_of(dtype_));
    group().signal(group().window_lines(rank()).filled, static_cast<uint32_t>(round + 1));
  }

  void reduce(uint64_t round, int64_t count) {
    wait_for_all_rounds(&WindowLines::filled, round + 1);
    for (int peer = 0; peer < size(); ++peer)
      buffers_[static_cast<size_t>(peer)] = group().window_slot(peer, round);
    const Share share(rank(), size(), count, dtype_);
    sum_.in_place(buffers_, share.begin, share.end - share.begin);
    group().signal(group().window_lines(rank()).reduced, static_cast<uint32_t>(round + 1));
  }

  void drain(uint64_t round, int64_t begin, int64_t count) {
    wait_for_all_rounds(&WindowLines::reduced, round + 1);
    std::memcpy(private_at(begin), group().window_slot(rank(), round),
                static_cast<size_t>(count) * size_of(dtype_));
    group().signal(group().window_lines(rank()).drained, static_cast<uint32_t>(round + 1));
  }

  const Share share_;
  const void* last_ = nullptr;
  int num_in_bucket_ = 0;       ///< ranks
  std::vector<uint64_t> seen_;  ///< location of each rank's buffer
  std::vector<std::shared_ptr<char>> mappings_;
  std::vector<char*> buffers_;
  const bool in_bucket_;
  std::vector<const char*> slots_[2];
};

class SharedAllGather final : public SharedCollective {
 public:
  SharedAllGather(const std::shared_ptr<SharedRank>& self, size_t meeting, void* const* input,
                  size_t bytes, void* const* output)
      : SharedCollective(self, meeting,
                         {.what = "all_gather",
                          .rank = self->rank,
                          .meeting = meeting,
                          .count = static_cast<int64_t>(bytes),
                          .unit = "bytes"},
                         {.kind = CollectiveKind::kAllGather,
                          .dtype = 0,
                          .op = 0,
                          .count = static_cast<int64_t>(bytes)},
                         input, bytes),
        output_(output) {}

  void start() override {
    begin_call();
    if (small() && bytes_ > 0) std::memcpy(slot(rank()), *buffer_, bytes_);
    group().signal(mine().ready, call_);
  }

 private:
  size_t bytes_of(int rank) const { return static_cast<size_t>(lines(rank).description.count); }

  void agree() override {
    for (int peer = 0; peer < size(); ++peer) most_ = std::max(most_, bytes_of(peer));
    if (most_ > kSmallBytes) group().map_windows();
  }

  void exchange() override {
    if (most_ > kSmallBytes) return pass_through_windows();
    wait_for_all(&RankLines::ready);
    char* to = static_cast<char*>(*output_);
    for (int peer = 0; peer < size(); ++peer) {
      const size_t bytes = bytes_of(peer);
      if (bytes > 0) std::memcpy(to, slot(peer), bytes);
      to += bytes;
    }
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
      if (const size_t bytes = part(peer, at); bytes > 0)
        std::memcpy(to + at, group().window_slot(peer, round), bytes);
      to += bytes_of(peer);
    }
    group().signal(group().window_lines(rank()).drained, static_cast<uint32_t>(round + 1));
  }

  void* const* const output_;
  size_t most_ = 0;
};

class SharedMemoryCommunicator final : public Communicator {
 public:
  SharedMemoryCommunicator(std::shared_ptr<HostGroup> group, int rank, std::vector<int> block_sizes)
      : self_(std::make_shared<SharedRank>()) {
    self_->group = std::move(group);
    self_->rank = rank;
    self_->block_sizes = std::move(block_sizes);
  }

  int rank() const override { return self_->rank; }
  int size() const override { return self_->group->size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return self_->group->heap()->allocate(bytes);
  }

  std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, DType dtype,
                                              int64_t num_elements, ops::ReduceOp op) override {
    const size_t bytes = static_cast<size_t>(num_elements) * size_of(dtype);
    const size_t meeting = meetings_++;
    if (bytes <= kTinyBytes)
      return std::make_unique<TinyAllReduce>(self_, meeting, buffer, dtype, num_elements, op);
    return std::make_unique<BufferAllReduce>(self_, meeting, buffer, dtype, num_elements, op);
  }

  std::unique_ptr<Request> prepare_all_gather(void* const* input, size_t bytes,
                                              void* const* output) override {
    return std::make_unique<SharedAllGather>(self_, meetings_++, input, bytes, output);
  }

  void abort(const Error& error) override { self_->group->fail(error); }
  const HostGroup* group() const { return self_->group.get(); }

 private:
  std::shared_ptr<SharedRank> self_;
  size_t meetings_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_shared_memory_communicator(std::shared_ptr<HostGroup> group,
                                                              int rank,
                                                              std::vector<int> block_sizes) {
  return std::make_unique<SharedMemoryCommunicator>(std::move(group), rank, std::move(block_sizes));
}

const HostGroup* shared_memory_group_of(const Communicator& communicator) {
  const auto* rank = dynamic_cast<const SharedMemoryCommunicator*>(&communicator);
  return rank ? rank->group() : nullptr;
}

}  // namespace cohort::distribute
