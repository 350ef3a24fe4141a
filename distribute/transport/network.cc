#include "cohort/distribute/transport/network.h"

#include <algorithm>
#include <cstring>

namespace cohort::distribute {
namespace {

/// A rank's end of a collective over the network.
class NetworkRequest : public Communicator::Request {
 public:
  NetworkRequest(std::shared_ptr<NetworkNode> node, int host_rank, const Caller& caller,
                 const Description& description, void* const* buffer, size_t bytes,
                 std::shared_ptr<NodeCollective> collective)
      : node_(std::move(node)),
        host_rank_(host_rank),
        caller_(caller),
        buffer_(buffer),
        bytes_(bytes),
        collective_(std::move(collective)),
        description_(description),
        // One mapping for this rank and the progress thread: a sanitizer sees that they meet.
        memory_(collective_ ? collective_->meeting() : host().map_meeting(caller.meeting, false)) {
    const auto& processes = host().options().process_of;
    progress_rank_ =
        static_cast<int>(std::find(processes.begin(), processes.end(), 0) - processes.begin());
    if (!collective_ && bytes_ > 0 && host().heap()->offset_of(*buffer, bytes_) == kPrivate)
      copy_ = host().heap()->allocate(bytes_);
    mine().description = description;
    host().signal(mine().prepared, 1);
    host().ring();
  }

  ~NetworkRequest() override {
    if (collective_) node_->engine()->forget(caller_.meeting);
  }

  void start() override {
    ++call_;
    record_ = &host()
                   .flight(host_rank_)
                   .begin(static_cast<uint32_t>(caller_.meeting), call_, description_);
    if (collective_) {
      collective_->set_buffer(host_rank_, static_cast<char*>(*buffer_));
    } else if (bytes_ > 0) {
      if (copy_) std::memcpy(copy_.get(), *buffer_, bytes_);
      const void* at = copy_ ? copy_.get() : *buffer_;
      if (at != last_) mine().location = host().heap()->offset_of(last_ = at, bytes_);
    }
    host().signal(mine().ready, call_);
    host().ring();
  }

  void wait() override {
    if (host().failed()) host().throw_failure();
    host().wait_for(lines(0).done, call_, progress_rank_, caller_);
    take_result();
    RankFlight::end(*record_);
    mine().taken.store(call_, std::memory_order_release);
  }

 protected:
  virtual void take_result() = 0;

  HostGroup& host() const { return *node_->host(); }
  RankLines& lines(int rank) const { return reinterpret_cast<RankLines*>(memory_.get())[rank]; }
  RankLines& mine() const { return lines(host_rank_); }

  const std::shared_ptr<NetworkNode> node_;
  const int host_rank_;
  const Caller caller_;
  void* const* const buffer_;
  const size_t bytes_;
  const std::shared_ptr<NodeCollective> collective_;  ///< in the process of the progress thread
  const Description description_;
  const std::shared_ptr<char> memory_;
  FlightRecord* record_ = nullptr;
  int progress_rank_ = 0;       ///< a rank of that process
  std::shared_ptr<void> copy_;  ///< of private memory, where that process sees it
  const void* last_ = nullptr;
  uint32_t call_ = 0;
};

class NetworkAllReduce final : public NetworkRequest {
  using NetworkRequest::NetworkRequest;
  void take_result() override {
    if (copy_) std::memcpy(*buffer_, copy_.get(), bytes_);
  }
};

class NetworkAllGather final : public NetworkRequest {
 public:
  template <class... Args>
  NetworkAllGather(void* const* output, Args&&... args)
      : NetworkRequest(std::forward<Args>(args)...), output_(output) {}

 private:
  void take_result() override {
    const RankLines& first = lines(0);
    const size_t bytes = first.result_bytes;
    if (bytes == 0) return;
    if (!result_) result_ = host().map_buffer(progress_rank_, first.result, 2 * bytes);
    std::memcpy(*output_, result_.get() + call_ % 2 * bytes, first.result_used);
  }

  void* const* const output_;
  std::shared_ptr<char> result_;
};

class NetworkCommunicator final : public Communicator {
 public:
  NetworkCommunicator(std::shared_ptr<NetworkNode> node, int host_rank)
      : node_(std::move(node)), host_rank_(host_rank) {}

  int rank() const override {
    return node_->host()->options().ranks[static_cast<size_t>(host_rank_)];
  }
  int size() const override { return node_->layout().size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return node_->host()->heap()->allocate(bytes);
  }

  std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, DType dtype,
                                              int64_t num_elements, ops::ReduceOp op) override {
    return prepare_all_reduce(buffer, Description{.kind = CollectiveKind::kAllReduce,
                                                  .dtype = static_cast<uint32_t>(dtype),
                                                  .op = static_cast<uint32_t>(op),
                                                  .sent_as = 0,
                                                  .count = num_elements});
  }

  bool rounds_gradients() const override { return node_->layout().gradient_dtype != DType::kF32; }
  std::unique_ptr<Request> prepare_gradient_sum(void* const* buffer,
                                                int64_t num_elements) override {
    const DType sent_as = node_->layout().gradient_dtype;
    return prepare_all_reduce(
        buffer, Description{.kind = CollectiveKind::kAllReduce,
                            .dtype = static_cast<uint32_t>(DType::kF32),
                            .op = static_cast<uint32_t>(ops::ReduceOp::kSum),
                            .sent_as = sent_as == DType::kF32 ? 0 : static_cast<uint32_t>(sent_as),
                            .count = num_elements});
  }

  std::unique_ptr<Request> prepare_all_gather(void* const* input, size_t bytes,
                                              void* const* output) override {
    const size_t index = meetings_++;
    auto collective = node_->collective(index, [&](NetworkEngine& engine) {
      return make_node_all_gather(engine, node_->layout(), index);
    });
    const auto count = static_cast<int64_t>(bytes);
    return std::make_unique<NetworkAllGather>(
        output, node_, host_rank_, caller("all_gather", index, count, "bytes"),
        Description{
            .kind = CollectiveKind::kAllGather, .dtype = 0, .op = 0, .sent_as = 0, .count = count},
        input, bytes, std::move(collective));
  }

  const HostGroup* group() const { return node_->host().get(); }
  const NetworkCounters* counters() const {
    return node_->engine() ? &node_->engine()->counters() : nullptr;
  }

  void abort(const Error& error) override {
    node_->host()->fail(error);
    node_->host()->ring();
  }

 private:
  std::unique_ptr<Request> prepare_all_reduce(void* const* buffer, const Description& description) {
    const auto dtype = static_cast<DType>(description.dtype);
    const size_t index = meetings_++;
    auto collective = node_->collective(index, [&](NetworkEngine& engine) {
      return make_node_all_reduce(engine, node_->layout(), index, description);
    });
    return std::make_unique<NetworkAllReduce>(
        node_, host_rank_, caller("all_reduce", index, description.count, dtype_name(dtype).data()),
        description, buffer, static_cast<size_t>(description.count) * size_of(dtype),
        std::move(collective));
  }

  Caller caller(const char* what, size_t index, int64_t count, const char* unit) const {
    return {.what = what,
            .rank = host_rank_,
            .meeting = index,
            .count = count,
            .unit = unit,
            .of_node = true};
  }

  const std::shared_ptr<NetworkNode> node_;
  const int host_rank_;
  size_t meetings_ = 0;
};

}  // namespace

NetworkNode::NetworkNode(std::shared_ptr<HostGroup> host, NetworkLayout layout)
    : host_(std::move(host)), layout_(std::move(layout)) {}

void NetworkNode::start(NetworkEngineOptions options) {
  engine_ = std::make_unique<NetworkEngine>(std::move(options));
}

std::unique_ptr<Communicator> make_network_communicator(std::shared_ptr<NetworkNode> node,
                                                        int host_rank) {
  return std::make_unique<NetworkCommunicator>(std::move(node), host_rank);
}

const NetworkCounters* counters_of(const Communicator& communicator) {
  const auto* rank = dynamic_cast<const NetworkCommunicator*>(&communicator);
  return rank ? rank->counters() : nullptr;
}

const HostGroup* network_group_of(const Communicator& communicator) {
  const auto* rank = dynamic_cast<const NetworkCommunicator*>(&communicator);
  return rank ? rank->group() : nullptr;
}

}  // namespace cohort::distribute
