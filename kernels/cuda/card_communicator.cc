#include "cohort/kernels/cuda/card_communicator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "cohort/core/runtime/spin_wait.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/merge_counts.h"
#include "cohort/kernels/cuda/tree_sum.h"

namespace cohort::cuda {
namespace {

/// What a rank's stream has done in a collective, one after the other.
enum Stage { kReady, kReduced, kDone, kNumStages };

/// A rank in one repeated collective. Others wait for an event of its stream once its thread has
/// counted the round, which it does when the event is recorded.
struct alignas(64) Attendance {
  std::array<Event, kNumStages> events;
  std::array<std::atomic<uint64_t>, kNumStages> rounds{};
  void* const* slot = nullptr;
  size_t bytes = 0;  ///< of its buffer
};

using Meeting = std::vector<Attendance>;

struct CardGroup {
  CardGroup(const LocalGroup& group, std::chrono::milliseconds timeout)
      : size(static_cast<int>(group.devices.size())),
        order(group.order),
        num_replicas(group.num_replicas),
        timeout(timeout),
        prepared(group.devices.size(), 0) {}

  /// The n-th collective of every rank is one meeting, as long as a rank has it.
  std::shared_ptr<Meeting> next_meeting(int rank) {
    const std::lock_guard lock(mutex);
    std::erase_if(meetings, [](const auto& each) { return each.second.expired(); });
    std::weak_ptr<Meeting>& known = meetings[prepared[static_cast<size_t>(rank)]++];
    std::shared_ptr<Meeting> meeting = known.lock();
    if (!meeting) known = meeting = std::make_shared<Meeting>(static_cast<size_t>(size));
    return meeting;
  }

  [[noreturn]] void throw_failure() {
    const std::lock_guard lock(mutex);
    throw error ? *error : Internal("group of a card: aborted without an error");
  }

  const int size;
  const CombineOrder order;
  const int num_replicas;
  const std::chrono::milliseconds timeout;
  std::atomic<bool> aborted{false};
  std::mutex mutex;
  std::vector<size_t> prepared;                       // guarded by mutex
  std::map<size_t, std::weak_ptr<Meeting>> meetings;  // guarded by mutex, by number
  std::optional<Error> error;                         // guarded by mutex
};

class CardRequest : public Communicator::Request {
 public:
  CardRequest(std::shared_ptr<CardGroup> group, CudaDevice& device, int rank,
              const CollectiveSpec& spec)
      : group_(std::move(group)),
        device_(device),
        stream_(device.compute_stream()),
        rank_(rank),
        spec_(spec),
        meeting_(group_->next_meeting(rank)) {
    DeviceGuard guard(device.ordinal());
    for (Event& event : mine().events) event = make_event();
    mine().slot = spec.buffer;
    mine().bytes = static_cast<size_t>(spec.count) * size_of(spec.dtype);
  }

 protected:
  /// Submits this rank's part, when what the others submit may read its memory and it theirs, and
  /// reaches kDone.
  virtual void exchange() = 0;

  int ranks() const { return group_->size; }
  Attendance& mine() { return (*meeting_)[static_cast<size_t>(rank_)]; }
  const Attendance& at(int rank) const { return (*meeting_)[static_cast<size_t>(rank)]; }
  void copy_from_peer(void* to, const void* from, size_t bytes) {
    copy_bytes(to, from, bytes, stream_);
    count_payload(bytes);
  }

  void reach(Stage stage) {
    check(cudaEventRecord(mine().events[stage], stream_), "cudaEventRecord");
    std::atomic<uint64_t>& round = mine().rounds[stage];
    round.store(round.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// What this rank submits from now on comes after what all submitted up to this stage.
  void meet(Stage stage) {
    const uint64_t round = mine().rounds[stage].load(std::memory_order_relaxed);
    for (int peer = 0; peer < ranks(); ++peer) {
      if (peer == rank_) continue;
      await(peer, stage, round);
      check(cudaStreamWaitEvent(stream_, at(peer).events[stage], 0), "cudaStreamWaitEvent");
    }
  }

  const std::shared_ptr<CardGroup> group_;
  CudaDevice& device_;
  const cudaStream_t stream_;
  const int rank_;
  const CollectiveSpec spec_;

 private:
  void do_start() override {
    device_.between_kernels([this] {
      if (group_->aborted.load()) group_->throw_failure();
      reach(kReady);
    });
  }
  void do_wait() override {
    device_.between_kernels([this] {
      meet(kReady);
      exchange();
      meet(kDone);
    });
  }

  void await(int peer, Stage stage, uint64_t round) {
    const std::atomic<uint64_t>& reached = at(peer).rounds[stage];
    const auto here = [&] { return reached.load(std::memory_order_acquire) >= round; };
    const bool ended = spin_wait([&] { return here() || group_->aborted.load(); }, group_->timeout);
    if (here()) return;
    if (ended) group_->throw_failure();
    throw DeadlineExceeded("{}: rank {} of {}: nothing from rank {} in {} ms",
                           collective_name(spec_.kind), rank_, ranks(), peer,
                           group_->timeout.count());
  }

  const std::shared_ptr<Meeting> meeting_;
};

Combine combine_of(ops::ReduceOp op) {
  if (op == ops::ReduceOp::kMax) return Combine::kMax;
  return op == ops::ReduceOp::kMin ? Combine::kMin : Combine::kSum;
}

/// Chunk r of every rank is copied to rank r, which combines them; for an all-reduce all copy the
/// result.
class CardReduction final : public CardRequest {
 public:
  CardReduction(std::shared_ptr<CardGroup> group, CudaDevice& device, int rank,
                const CollectiveSpec& spec)
      : CardRequest(std::move(group), device, rank, spec),
        scatters_(spec.kind == CollectiveKind::kReduceScatter),
        divisor_(spec.op == ops::ReduceOp::kMean ? group_->num_replicas : 1) {
    const int64_t line = scatters_ ? 1 : 64 / static_cast<int64_t>(size_of(spec.dtype));
    chunk_ = ceil_div(ceil_div(spec.count, ranks()), line) * line;
    others_ = device.allocate(static_cast<size_t>(chunk_ * ranks()) * size_of(spec.dtype));
    const std::vector<uint8_t> merges = merge_counts(ranks(), group_->order);
    merges_ = device.allocate(merges.size());
    device.copy_from_host(merges_.get(), merges.data(), merges.size());
  }

 private:
  static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

  void exchange() override {
    for (int peer = 0; peer < ranks(); ++peer)
      if (peer != rank_)
        copy_from_peer(chunk_of(others_.get(), peer), chunk_of(*at(peer).slot, rank_),
                       bytes(rank_));
    tree_sum(spec_.dtype, rank_, ranks(), static_cast<const uint8_t*>(merges_.get()),
             chunk_of(*mine().slot, rank_), others_.get(), chunk_, count(rank_), divisor_, stream_,
             combine_of(spec_.op));
    if (scatters_) return reach(kDone);
    reach(kReduced);
    meet(kReduced);
    for (int peer = 0; peer < ranks(); ++peer)
      if (peer != rank_)
        copy_from_peer(chunk_of(*mine().slot, peer), chunk_of(*at(peer).slot, peer), bytes(peer));
    reach(kDone);
  }

  int64_t count(int rank) const {
    return std::clamp<int64_t>(spec_.count - rank * chunk_, 0, chunk_);
  }
  size_t bytes(int rank) const { return static_cast<size_t>(count(rank)) * size_of(spec_.dtype); }
  std::byte* chunk_of(void* base, int rank) const {
    return static_cast<std::byte*>(base) +
           rank * chunk_ * static_cast<int64_t>(size_of(spec_.dtype));
  }

  const bool scatters_;
  const double divisor_;
  int64_t chunk_ = 0;             // elements
  std::shared_ptr<void> others_;  // chunk rank_ of every rank
  std::shared_ptr<void> merges_;  // tree_sum.h
};

class CardAllGather final : public CardRequest {
  using CardRequest::CardRequest;

  void exchange() override {
    auto* to = static_cast<std::byte*>(*spec_.output);
    for (int peer = 0; peer < ranks(); to += at(peer++).bytes) {
      const void* from = *at(peer).slot;
      if (peer != rank_)
        copy_from_peer(to, from, at(peer).bytes);
      else if (from != to)
        copy_bytes(to, from, at(peer).bytes, stream_);
    }
    reach(kDone);
  }
};

class CardBroadcast final : public CardRequest {
  using CardRequest::CardRequest;

  void exchange() override {
    if (rank_ != spec_.root) copy_from_peer(*mine().slot, *at(spec_.root).slot, mine().bytes);
    reach(kDone);
  }
};

class CardCommunicator final : public Communicator {
 public:
  CardCommunicator(std::shared_ptr<CardGroup> group, CudaDevice& device, int rank)
      : group_(std::move(group)), device_(device), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override { return device_.allocate(bytes); }

  void abort(const Error& error) override {
    const std::lock_guard lock(group_->mutex);
    if (!group_->error) group_->error = error;
    group_->aborted.store(true);
  }

  bool reset() override {
    const std::lock_guard lock(group_->mutex);
    for (const auto& [number, known] : group_->meetings)
      if (const std::shared_ptr<Meeting> meeting = known.lock())
        for (Attendance& attendance : *meeting)
          for (auto& round : attendance.rounds) round.store(0);
    group_->error.reset();
    group_->aborted.store(false);
    return true;
  }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    if (spec.wire_dtype)
      throw Unimplemented("{}: got the dtype {} for the way between GPUs; want the sums' own",
                          collective_name(spec.kind), *spec.wire_dtype);
    switch (spec.kind) {
      case CollectiveKind::kAllReduce:
      case CollectiveKind::kReduceScatter:
        return std::make_unique<CardReduction>(group_, device_, rank_, spec);
      case CollectiveKind::kAllGather:
        return std::make_unique<CardAllGather>(group_, device_, rank_, spec);
      case CollectiveKind::kBroadcast:
        return std::make_unique<CardBroadcast>(group_, device_, rank_, spec);
    }
    throw Internal("group of a card: got collective {}", static_cast<uint32_t>(spec.kind));
  }
  std::unique_ptr<Communicator> do_split(std::string_view axis, int) override {
    throw Unimplemented(
        "split: got the axis \"{}\" in a group of one GPU's devices; want the axis \"{}\" alone",
        axis, this->axis());
  }

  std::shared_ptr<CardGroup> group_;
  CudaDevice& device_;
  int rank_;
};

int card_of(const Device* device) { return static_cast<const CudaDevice*>(device)->ordinal(); }

bool share_a_card(std::span<Device* const> devices) {
  for (size_t i = 1; i < devices.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (card_of(devices[i]) == card_of(devices[j])) return true;
  return false;
}

}  // namespace

bool on_one_card(std::span<Device* const> devices) {
  if (!share_a_card(devices)) return false;
  std::string cards;
  for (const Device* device : devices)
    cards += fmt::format("{}gpu:{} on card {}", cards.empty() ? "" : ", ", device->index(),
                         card_of(device));
  for (const Device* device : devices)
    if (card_of(device) != card_of(devices.front()))
      throw InvalidArgument(
          "GPUs of a group: got {}; want all of them on one card, or each on its own", cards);
  return true;
}

std::vector<std::unique_ptr<Communicator>> make_card_communicators(
    const LocalGroup& group, std::chrono::milliseconds timeout) {
  join_faults(group.devices);
  const auto shared = std::make_shared<CardGroup>(group, timeout);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (Device* device : group.devices)
    ranks.push_back(std::make_unique<CardCommunicator>(shared, static_cast<CudaDevice&>(*device),
                                                       static_cast<int>(ranks.size())));
  return ranks;
}

}  // namespace cohort::cuda
