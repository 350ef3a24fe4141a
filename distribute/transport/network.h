#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/transport/group_splitter.h"
#include "cohort/distribute/transport/network_layout.h"
#include "cohort/distribute/transport/node_collective.h"

namespace cohort::distribute {

/// This process's part in a group on several nodes. In the first process of a node it holds the
/// progress thread and what that needs for every collective.
class NetworkNode {
 public:
  NetworkNode(std::shared_ptr<HostGroup> host, NetworkLayout layout);
  /// Before any communicator is made, in the first process of a node.
  void start(NetworkEngineOptions options);

  const std::shared_ptr<HostGroup>& host() const { return host_; }
  const NetworkLayout& layout() const { return layout_; }
  NetworkEngine* engine() { return engine_.get(); }

  /// The n-th collective, made by the first rank of this process that asks. Null where there is no
  /// engine.
  template <class Make>
  std::shared_ptr<NodeCollective> collective(size_t index, Make&& make) {
    if (!engine_) return nullptr;
    const std::lock_guard lock(mutex_);
    if (index < collectives_.size()) return collectives_[index].lock();
    std::shared_ptr<NodeCollective> made = make(*engine_);
    collectives_.push_back(made);
    engine_->add(made);
    return made;
  }

 private:
  const std::shared_ptr<HostGroup> host_;
  const NetworkLayout layout_;
  std::mutex mutex_;
  std::vector<std::weak_ptr<NodeCollective>> collectives_;  // guarded by mutex_
  std::unique_ptr<NetworkEngine> engine_;
};

/// The communicator of a rank of a group on several nodes. start() tells the node's progress
/// thread, which moves and adds the data; wait() waits for it. Bucket memory is sent and received
/// in place; other memory too in the process of the progress thread, and through a shared copy
/// elsewhere. `host_rank`: position among the ranks of the host.
std::unique_ptr<Communicator> make_network_communicator(std::shared_ptr<NetworkNode> node,
                                                        int host_rank,
                                                        std::shared_ptr<GroupSplitter> splitter);

}  // namespace cohort::distribute
