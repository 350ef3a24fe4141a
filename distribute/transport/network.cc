#include "cohort/distribute/transport/network.h"

#include <algorithm>
#include <cstring>

namespace cohort::distribute {
namespace {

/// A rank's end of a collective over the network.
class NetworkRequest : public Communicator::Request {
 public:
  NetworkRequest(std::shared_ptr<NetworkNode> node, int host_rank, size_t meeting,
                 const CollectiveSpec& spec, std::shared_ptr<NodeCollective> collective)
      : node_(std::move(node)),
        host_rank_(host_rank),
        buffer_(spec.buffer),
        collective_(std::move(collective)),
        description_(spec),
        bytes_(description_.bytes()),
        gives_(spec.kind != CollectiveKind::kBroadcast ||
               spec.root == host().options().ranks[static_cast<size_t>(host_rank)]),
        caller_{.what = collective_name(spec.kind).data(),
                .rank = host_rank,
                .meeting = meeting,
                .count = spec.count,
                .unit = dtype_name(spec.dtype).data(),
                .of_node = true},
        // One mapping for this rank and the progress thread: a sanitizer sees that they meet.
        memory_(collective_ ? collective_->meeting() : host().map_meeting(meeting, false)) {
    const auto& processes = host().options().process_of;
    progress_rank_ =
        static_cast<int>(std::find(processes.begin(), processes.end(), 0) - processes.begin());
    if (gives_ && !collective_ && bytes_ > 0 &&
        host().heap()->offset_of(*buffer_, bytes_) == kPrivate)
      copy_ = host().heap()->allocate(bytes_);
    mine().description = description_;
    host().signal(mine().prepared, 1);
    host().ring();
  }

  ~NetworkRequest() override {
    if (collective_) node_->engine()->forget(caller_.meeting);
    host().leave_meeting(caller_.meeting, &lines(0), host_rank_);
  }

 protected:
  virtual void take_result() = 0;

  HostGroup& host() const { return *node_->host(); }
  RankLines& lines(int rank) const { return reinterpret_cast<RankLines*>(memory_.get())[rank]; }
  RankLines& mine() const { return lines(host_rank_); }

  const std::shared_ptr<NetworkNode> node_;
  const int host_rank_;
  void* const* const buffer_;
  const std::shared_ptr<NodeCollective> collective_;  ///< in the process of the progress thread
  const Description description_;
  const size_t bytes_;
  const bool gives_;  ///< others get what is in its buffer
  const Caller caller_;
  const std::shared_ptr<char> memory_;
  FlightRecord* record_ = nullptr;
  int progress_rank_ = 0;       ///< a rank of that process
  std::shared_ptr<void> copy_;  ///< of private memory, where that process sees it
  const void* last_ = nullptr;
  uint32_t call_ = 0;

 private:
  void do_start() override {
    host().expect_whole();
    ++call_;
    record_ = &host()
                   .flight(host_rank_)
                   .begin(static_cast<uint32_t>(caller_.meeting), call_, description_);
    if (collective_) {
      collective_->set_buffer(host_rank_, static_cast<char*>(*buffer_));
    } else if (gives_ && bytes_ > 0) {
      if (copy_) std::memcpy(copy_.get(), *buffer_, bytes_);
      const void* at = copy_ ? copy_.get() : *buffer_;
      if (at != last_) mine().location = host().heap()->offset_of(last_ = at, bytes_);
    }
    host().signal(mine().ready, call_);
    host().ring();
  }

  void do_wait() override {
    host().expect_whole();
    host().wait_for(lines(0).done, call_, progress_rank_, caller_);
    take_result();
    RankFlight::end(*record_);
    mine().taken.store(call_, std::memory_order_release);
  }
};

class NetworkReduction final : public NetworkRequest {
  using NetworkRequest::NetworkRequest;
  void take_result() override {
    if (copy_) std::memcpy(*buffer_, copy_.get(), bytes_);
  }
};

class NetworkCopy final : public NetworkRequest {
 public:
  NetworkCopy(void* const* output, std::shared_ptr<NetworkNode> node, int host_rank, size_t meeting,
              const CollectiveSpec& spec, std::shared_ptr<NodeCollective> collective)
      : NetworkRequest(std::move(node), host_rank, meeting, spec, std::move(collective)),
        output_(output) {}

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
  NetworkCommunicator(std::shared_ptr<NetworkNode> node, int host_rank,
                      std::shared_ptr<GroupSplitter> splitter)
      : node_(std::move(node)), splitter_(std::move(splitter)), host_rank_(host_rank) {}

  int rank() const override {
    return node_->host()->options().ranks[static_cast<size_t>(host_rank_)];
  }
  int size() const override { return node_->layout().size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return node_->host()->heap()->allocate(bytes);
  }
  void abort(const Error& error) override {
    node_->host()->fail(error);
    node_->host()->ring();
    splitter_->abort(error);
  }
  std::string history() const override { return dump_histories(node_->host()->histories()); }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    const size_t index = meetings_++;
    const bool copies =
        spec.kind == CollectiveKind::kAllGather || spec.kind == CollectiveKind::kBroadcast;
    auto collective = node_->collective(index, [&](NetworkEngine& engine) {
      const auto make = copies ? make_node_copy : make_node_reduction;
      return make(engine, node_->layout(), index, Description(spec));
    });
    if (!copies)
      return std::make_unique<NetworkReduction>(node_, host_rank_, index, spec,
                                                std::move(collective));
    return std::make_unique<NetworkCopy>(
        spec.kind == CollectiveKind::kBroadcast ? spec.buffer : spec.output, node_, host_rank_,
        index, spec, std::move(collective));
  }

  std::unique_ptr<Communicator> do_split(std::string_view axis, int color) override {
    return splitter_->split(*this, axis, color);
  }

  void add_traffic(CommunicatorStats& stats) const override {
    if (!node_->engine() || host_rank_ != 0) return;
    const NetworkCounters& counters = node_->engine()->counters();
    for (size_t kind = 0; kind < kNumCollectiveKinds; ++kind)
      stats.kinds[kind].payload_bytes += counters.of_kind[kind];
    stats.network_bytes += counters.payload_bytes;
    stats.network_frames += counters.frames;
  }

  const std::shared_ptr<NetworkNode> node_;
  const std::shared_ptr<GroupSplitter> splitter_;
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
                                                        int host_rank,
                                                        std::shared_ptr<GroupSplitter> splitter) {
  return std::make_unique<NetworkCommunicator>(std::move(node), host_rank, std::move(splitter));
}

}  // namespace cohort::distribute
