#include "cohort/distribute/in_process_communicator.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/spin_wait.h"
#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/split_ranks.h"
#include "cohort/distribute/transport/describe.h"
#include "cohort/distribute/transport/tree_sum.h"

namespace cohort::distribute {
namespace {

/// How far a rank is, alone on its cache line.
struct alignas(64) Progress {
  std::atomic<uint64_t> ready{0};
  std::atomic<uint64_t> done{0};
};

/// One repeated collective as its ranks see it.
struct Meeting {
  Meeting(size_t size, const CollectiveSpec& spec, int rank)
      : description(spec), first_rank(rank), progress(size), buffers(size), bytes(size) {}
  const Description description;  ///< as the first rank prepared it
  const int first_rank;
  std::vector<Progress> progress;
  std::vector<void* const*> buffers;  ///< each rank's slot
  std::vector<size_t> bytes;          ///< of each rank's buffer
};

struct Group {
  explicit Group(InProcessOptions given)
      : options(std::move(given)),
        size(static_cast<int>(options.block_sizes.size())),
        num_replicas(
            std::accumulate(options.block_sizes.begin(), options.block_sizes.end(), int64_t{0})),
        order(combine_order(options.block_sizes)),
        host(make_cpu_device(0, 1)),
        prepared(static_cast<size_t>(size), 0),
        splits(static_cast<size_t>(size), 0) {}

  /// The n-th collective of every rank is one meeting, as long as a rank has it. Where ranks
  /// prepare different ones, all of them are told.
  std::shared_ptr<Meeting> next_meeting(int rank, const CollectiveSpec& spec) try {
    const std::lock_guard lock(mutex);
    std::erase_if(meetings, [](const auto& each) { return each.second.expired(); });
    const size_t index = prepared[static_cast<size_t>(rank)]++;
    std::weak_ptr<Meeting>& known = meetings[index];
    std::shared_ptr<Meeting> meeting = known.lock();
    if (!meeting)
      known = meeting = std::make_shared<Meeting>(static_cast<size_t>(size), spec, rank);
    check_same_collective(index, meeting->description, meeting->first_rank, Description(spec),
                          rank);
    return meeting;
  } catch (const Error& different) {
    abort(different);
    throw;
  }

  /// The part of these ranks in the n-th split of every rank, made by its first.
  std::shared_ptr<Group> part(int rank, const std::vector<int>& members) {
    const std::lock_guard lock(mutex);
    std::shared_ptr<Group>& part = parts[{splits[static_cast<size_t>(rank)]++, members.front()}];
    if (part) return part;
    InProcessOptions smaller{.block_sizes = {}, .timeout = options.timeout};
    for (size_t m = 0; m < members.size(); ++m) {
      smaller.block_sizes.push_back(options.block_sizes[static_cast<size_t>(members[m])]);
      if (std::count(options.adders.begin(), options.adders.end(), members[m]) > 0)
        smaller.adders.push_back(static_cast<int>(m));
    }
    if (smaller.adders.empty()) smaller.adders.push_back(0);
    part = std::make_shared<Group>(std::move(smaller));
    if (error) part->abort(*error);
    return part;
  }

  void abort(const Error& why) {
    const std::lock_guard lock(mutex);
    if (!error) error = why;
    aborted.store(true);
    for (const auto& [key, part] : parts) part->abort(why);
  }

  void reset() {
    const std::lock_guard lock(mutex);
    for (const auto& [number, known] : meetings) {
      const std::shared_ptr<Meeting> meeting = known.lock();
      if (!meeting) continue;
      // What all have started goes on: some may wait for it later.
      const uint64_t round = meeting->progress.front().ready.load();
      if (std::all_of(meeting->progress.begin(), meeting->progress.end(),
                      [&](const Progress& each) { return each.ready.load() == round; }))
        continue;
      for (Progress& progress : meeting->progress) {
        progress.ready.store(0);
        progress.done.store(0);
      }
    }
    error.reset();
    aborted.store(false);
    for (const auto& [key, part] : parts) part->reset();
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
  std::vector<size_t> prepared;                       // guarded by mutex
  std::map<size_t, std::weak_ptr<Meeting>> meetings;  // guarded by mutex, by number
  std::vector<size_t> splits;                         // guarded by mutex
  /// By number of the split and first member. Guarded by mutex.
  std::map<std::pair<size_t, int>, std::shared_ptr<Group>> parts;
  std::optional<Error> error;  // guarded by mutex
};

class InProcessRequest : public Communicator::Request {
 public:
  InProcessRequest(std::shared_ptr<Group> group, int rank, const CollectiveSpec& spec)
      : group_(std::move(group)),
        rank_(rank),
        spec_(spec),
        element_(size_of(spec.dtype)),
        bytes_(static_cast<size_t>(spec.count) * element_),
        meeting_(group_->next_meeting(rank, spec)) {
    meeting_->buffers[static_cast<size_t>(rank)] = spec.buffer;
    meeting_->bytes[static_cast<size_t>(rank)] = bytes_;
  }

  void do_start() override {
    if (group_->aborted.load()) group_->throw_failure();
    Progress& mine = meeting_->progress[static_cast<size_t>(rank_)];
    mine.ready.store(mine.ready.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  void do_wait() override {
    Progress& mine = meeting_->progress[static_cast<size_t>(rank_)];
    const uint64_t round = mine.ready.load(std::memory_order_relaxed);
    wait_for_all(&Progress::ready, round);
    exchange();
    mine.done.store(round, std::memory_order_release);
    if (!spec_.lazy) wait_for_all(&Progress::done, round);
  }

  void wait_for_others() override {
    const Progress& mine = meeting_->progress[static_cast<size_t>(rank_)];
    wait_for_all(&Progress::done, mine.ready.load(std::memory_order_relaxed));
  }

 protected:
  /// This rank's share of the work, when all buffers are ready.
  virtual void exchange() = 0;

  char* buffer_of(int rank) const {
    return static_cast<char*>(*meeting_->buffers[static_cast<size_t>(rank)]);
  }

  void wait_for_all(std::atomic<uint64_t> Progress::*stage, uint64_t round) {
    for (int peer = 0; peer < group_->size; ++peer) {
      const std::atomic<uint64_t>& reached = meeting_->progress[static_cast<size_t>(peer)].*stage;
      const bool came = spin_wait(
          [&] {
            return reached.load(std::memory_order_acquire) >= round ||
                   group_->aborted.load(std::memory_order_relaxed);
          },
          group_->options.timeout);
      if (reached.load(std::memory_order_acquire) >= round) continue;
      if (came) group_->throw_failure();
      throw DeadlineExceeded("{}: rank {} of {}: nothing from rank {} in {} ms",
                             collective_name(spec_.kind), rank_, group_->size, peer,
                             group_->options.timeout.count());
    }
  }

  const std::shared_ptr<Group> group_;
  const int rank_;
  const CollectiveSpec spec_;
  const size_t element_;
  const size_t bytes_;  ///< of this rank's buffer
  const std::shared_ptr<Meeting> meeting_;
};

class AllReduceRequest final : public InProcessRequest {
  using InProcessRequest::InProcessRequest;

  void exchange() override {
    const std::vector<int>& adders = group_->options.adders;
    const auto shares = static_cast<int64_t>(adders.size());
    const int64_t share = std::find(adders.begin(), adders.end(), rank_) - adders.begin();
    if (share == shares) return;
    const int64_t line = 64 / static_cast<int64_t>(element_);
    const int64_t lines = (spec_.count + line - 1) / line;
    const int64_t begin = std::min(spec_.count, lines * share / shares * line);
    const int64_t end = std::min(spec_.count, lines * (share + 1) / shares * line);
    // Blocks that stay in the first-level cache between reading and writing back.
    constexpr int64_t kBlock = 2048;
    for (int64_t at = begin; at < end; at += kBlock) reduce_block(at, std::min(kBlock, end - at));
    count_payload(2 * static_cast<uint64_t>(group_->size - 1) * static_cast<uint64_t>(end - begin) *
                  element_);
  }

  char* block_of(int rank, int64_t at) const {
    return buffer_of(rank) + at * static_cast<int64_t>(element_);
  }

  void reduce_block(int64_t at, int64_t count) {
    for (const auto& [to, from] : group_->order)
      reduce_into(block_of(to, at), block_of(from, at), count, spec_.dtype, spec_.op);
    if (spec_.op == ops::ReduceOp::kMean)
      divide_by(block_of(0, at), count, spec_.dtype, group_->num_replicas);
    const size_t bytes = static_cast<size_t>(count) * element_;
    for (int rank = 1; rank < group_->size; ++rank)
      std::memcpy(block_of(rank, at), block_of(0, at), bytes);
  }
};

/// The ranges of all ranks are dealt out to those that add.
class ReduceScatterRequest final : public InProcessRequest {
 public:
  ReduceScatterRequest(std::shared_ptr<Group> group, int rank, const CollectiveSpec& spec)
      : InProcessRequest(std::move(group), rank, spec),
        sum_(group_->options.block_sizes, spec.dtype, spec.op),
        sources_(static_cast<size_t>(group_->size)) {}

 private:
  void exchange() override {
    const std::vector<int>& adders = group_->options.adders;
    for (int owner = 0; owner < group_->size; ++owner)
      if (adders[static_cast<size_t>(owner) % adders.size()] == rank_) reduce_range(owner);
  }

  void reduce_range(int owner) {
    const int64_t count = spec_.count / group_->size;
    const size_t offset = static_cast<size_t>(owner * count) * element_;
    for (int rank = 0; rank < group_->size; ++rank)
      sources_[static_cast<size_t>(rank)] = buffer_of(rank) + offset;
    sum_.into(buffer_of(owner) + offset, sources_, count);
    count_payload(static_cast<uint64_t>(group_->size - 1) * static_cast<uint64_t>(count) *
                  element_);
  }

  TreeSum sum_;
  std::vector<const char*> sources_;
};

class AllGatherRequest final : public InProcessRequest {
  using InProcessRequest::InProcessRequest;

  void exchange() override {
    char* to = static_cast<char*>(*spec_.output);
    for (int rank = 0; rank < group_->size; ++rank) {
      const size_t bytes = meeting_->bytes[static_cast<size_t>(rank)];
      const char* from = buffer_of(rank);
      if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
      if (rank != rank_) count_payload(bytes);
      to += bytes;
    }
  }
};

class BroadcastRequest final : public InProcessRequest {
  using InProcessRequest::InProcessRequest;

  void exchange() override {
    if (rank_ == spec_.root || bytes_ == 0) return;
    std::memcpy(*spec_.buffer, buffer_of(spec_.root), bytes_);
    count_payload(bytes_);
  }
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
  void abort(const Error& error) override { group_->abort(error); }
  bool reset() override {
    group_->reset();
    return true;
  }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    switch (spec.kind) {
      case CollectiveKind::kAllReduce:
        return std::make_unique<AllReduceRequest>(group_, rank_, spec);
      case CollectiveKind::kReduceScatter:
        return std::make_unique<ReduceScatterRequest>(group_, rank_, spec);
      case CollectiveKind::kAllGather:
        return std::make_unique<AllGatherRequest>(group_, rank_, spec);
      case CollectiveKind::kBroadcast:
        return std::make_unique<BroadcastRequest>(group_, rank_, spec);
    }
    throw Internal("in-process group: got collective {}", static_cast<uint32_t>(spec.kind));
  }

  std::unique_ptr<Communicator> do_split(std::string_view, int color) override {
    const std::vector<int> members = ranks_of_color(*this, color);
    const auto at = std::find(members.begin(), members.end(), rank_) - members.begin();
    return std::make_unique<InProcessCommunicator>(group_->part(rank_, members),
                                                   static_cast<int>(at));
  }

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
