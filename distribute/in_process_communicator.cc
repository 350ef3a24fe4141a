#include "cohort/distribute/in_process_communicator.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <numeric>
#include <optional>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/spin_wait.h"
#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"

namespace cohort::distribute {
namespace {

/// How far a rank has come, alone on its cache line.
struct alignas(64) Progress {
  std::atomic<uint64_t> ready{0};
  std::atomic<uint64_t> done{0};
};

/// One repeated collective as its ranks see it.
struct Meeting {
  explicit Meeting(int size)
      : progress(static_cast<size_t>(size)),
        buffers(static_cast<size_t>(size)),
        bytes(buffers.size()) {}
  std::vector<Progress> progress;
  std::vector<void* const*> buffers;  ///< each rank's slot
  std::vector<size_t> bytes;          ///< each rank's contribution to a gather
};

struct Group {
  explicit Group(InProcessOptions given)
      : options(std::move(given)),
        size(static_cast<int>(options.block_sizes.size())),
        num_replicas(
            std::accumulate(options.block_sizes.begin(), options.block_sizes.end(), int64_t{0})),
        order(combine_order(options.block_sizes)),
        host(make_cpu_device(0, 1)),
        prepared(static_cast<size_t>(size), 0) {}

  /// The n-th collective of every rank is one meeting.
  Meeting& next_meeting(int rank) {
    const std::lock_guard lock(mutex);
    const size_t index = prepared[static_cast<size_t>(rank)]++;
    while (meetings.size() <= index) meetings.push_back(std::make_unique<Meeting>(size));
    return *meetings[index];
  }

  [[noreturn]] void throw_failure() {
    const std::lock_guard lock(mutex);
    throw error ? *error : Internal("in-process group: failed without an error");
  }

  const InProcessOptions options;
  const int size;
  const int64_t num_replicas;
  const std::vector<std::pair<int, int>> order;
  const std::unique_ptr<Device> host;  ///< allocates bucket memory
  std::atomic<bool> aborted{false};
  std::mutex mutex;
  std::vector<size_t> prepared;                    // guarded by mutex
  std::vector<std::unique_ptr<Meeting>> meetings;  // guarded by mutex
  std::optional<Error> error;                      // guarded by mutex
};

class InProcessRequest : public Communicator::Request {
 public:
  InProcessRequest(Group& group, int rank, const char* what)
      : group_(group), rank_(rank), what_(what), meeting_(group.next_meeting(rank)) {}

  void start() override {
    Progress& mine = meeting_.progress[static_cast<size_t>(rank_)];
    mine.ready.store(mine.ready.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  void wait() override {
    Progress& mine = meeting_.progress[static_cast<size_t>(rank_)];
    const uint64_t round = mine.ready.load(std::memory_order_relaxed);
    wait_for_all(&Progress::ready, round);
    exchange();
    mine.done.store(round, std::memory_order_release);
    wait_for_all(&Progress::done, round);
  }

 protected:
  /// This rank's share of the work, when all buffers are ready.
  virtual void exchange() = 0;

  void wait_for_all(std::atomic<uint64_t> Progress::*stage, uint64_t round) {
    for (int peer = 0; peer < group_.size; ++peer) {
      const std::atomic<uint64_t>& reached = meeting_.progress[static_cast<size_t>(peer)].*stage;
      const bool came = spin_wait(
          [&] {
            return reached.load(std::memory_order_acquire) >= round ||
                   group_.aborted.load(std::memory_order_relaxed);
          },
          group_.options.timeout);
      if (reached.load(std::memory_order_acquire) >= round) continue;
      if (came) group_.throw_failure();
      throw DeadlineExceeded("{}: rank {} of {}: nothing from rank {} in {} ms", what_, rank_,
                             group_.size, peer, group_.options.timeout.count());
    }
  }

  Group& group_;
  const int rank_;
  const char* what_;
  Meeting& meeting_;
};

class AllReduceRequest final : public InProcessRequest {
 public:
  AllReduceRequest(Group& group, int rank, void* const* buffer, DType dtype, int64_t num_elements,
                   ops::ReduceOp op)
      : InProcessRequest(group, rank, "all_reduce"),
        dtype_(dtype),
        num_elements_(num_elements),
        op_(op) {
    meeting_.buffers[static_cast<size_t>(rank)] = buffer;
  }

 private:
  void exchange() override {
    const std::vector<int>& adders = group_.options.adders;
    const auto shares = static_cast<int64_t>(adders.size());
    const int64_t share = std::find(adders.begin(), adders.end(), rank_) - adders.begin();
    if (share == shares) return;
    const int64_t line = 64 / static_cast<int64_t>(size_of(dtype_));
    const int64_t lines = (num_elements_ + line - 1) / line;
    const int64_t begin = lines * share / shares * line;
    const int64_t end = std::min(num_elements_, lines * (share + 1) / shares * line);
    // Blocks that stay in the first-level cache between reading and writing back.
    constexpr int64_t kBlock = 2048;
    for (int64_t at = begin; at < end; at += kBlock) reduce_block(at, std::min(kBlock, end - at));
  }

  char* block_of(int rank, int64_t at) const {
    return static_cast<char*>(*meeting_.buffers[static_cast<size_t>(rank)]) +
           at * static_cast<int64_t>(size_of(dtype_));
  }

  void reduce_block(int64_t at, int64_t count) {
    for (const auto& [to, from] : group_.order)
      reduce_into(block_of(to, at), block_of(from, at), count, dtype_, op_);
    if (op_ == ops::ReduceOp::kMean) divide_by(block_of(0, at), count, dtype_, group_.num_replicas);
    const size_t bytes = static_cast<size_t>(count) * size_of(dtype_);
    for (int rank = 1; rank < group_.size; ++rank)
      std::memcpy(block_of(rank, at), block_of(0, at), bytes);
  }

  const DType dtype_;
  const int64_t num_elements_;
  const ops::ReduceOp op_;
};

class AllGatherRequest final : public InProcessRequest {
 public:
  AllGatherRequest(Group& group, int rank, void* const* input, size_t bytes, void* const* output)
      : InProcessRequest(group, rank, "all_gather"), output_(output) {
    meeting_.buffers[static_cast<size_t>(rank)] = input;
    meeting_.bytes[static_cast<size_t>(rank)] = bytes;
  }

 private:
  void exchange() override {
    char* to = static_cast<char*>(*output_);
    for (int rank = 0; rank < group_.size; ++rank) {
      const size_t bytes = meeting_.bytes[static_cast<size_t>(rank)];
      const void* from = *meeting_.buffers[static_cast<size_t>(rank)];
      if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
      to += bytes;
    }
  }

  void* const* output_;
};

class InProcessCommunicator final : public Communicator {
 public:
  InProcessCommunicator(std::shared_ptr<Group> group, int rank)
      : group_(std::move(group)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return group_->host->allocate(bytes);
  }

  std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, DType dtype,
                                              int64_t num_elements, ops::ReduceOp op) override {
    return std::make_unique<AllReduceRequest>(*group_, rank_, buffer, dtype, num_elements, op);
  }
  std::unique_ptr<Request> prepare_all_gather(void* const* input, size_t bytes,
                                              void* const* output) override {
    return std::make_unique<AllGatherRequest>(*group_, rank_, input, bytes, output);
  }

  void abort(const Error& error) override {
    const std::lock_guard lock(group_->mutex);
    if (!group_->error) group_->error = error;
    group_->aborted.store(true);
  }

  bool reset() override {
    const std::lock_guard lock(group_->mutex);
    for (const auto& meeting : group_->meetings) {
      for (Progress& progress : meeting->progress) {
        progress.ready.store(0);
        progress.done.store(0);
      }
    }
    group_->error.reset();
    group_->aborted.store(false);
    return true;
  }

 private:
  std::shared_ptr<Group> group_;
  int rank_;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_in_process_communicators(InProcessOptions options) {
  if (options.block_sizes.empty())
    throw InvalidArgument("in-process group: got no ranks; want the block size of each");
  const int size = static_cast<int>(options.block_sizes.size());
  const bool all_add = options.adders.empty();
  for (const int adder : options.adders)
    if (adder < 0 || adder >= size)
      throw InvalidArgument("in-process group: got adder {}; want a rank below {}", adder, size);
  for (int rank = 0; all_add && rank < size; ++rank) options.adders.push_back(rank);
  const auto group = std::make_shared<Group>(std::move(options));
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int rank = 0; rank < group->size; ++rank)
    ranks.push_back(std::make_unique<InProcessCommunicator>(group, rank));
  return ranks;
}

}  // namespace cohort::distribute
