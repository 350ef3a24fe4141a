#pragma once

#include <string>
#include <vector>

#include "cohort/core/ops/collective.h"
#include "cohort/distribute/transport/network_engine.h"
#include "cohort/distribute/transport/network_layout.h"

namespace cohort::distribute {

/// What all collectives over the network share: the ranks of this host on one side, whose lines and
/// buffers are in shared memory, and the other nodes, with which the descriptions are compared
/// before the first call.
class NodeCollective : public NetworkCollective {
 public:
  NodeCollective(NetworkEngine& engine, const NetworkLayout& layout, size_t index,
                 const Description& description);

  /// To be called by a rank of this process before it signals `ready`: where its buffer is.
  void set_buffer(int host_rank, char* buffer) { direct_[static_cast<size_t>(host_rank)] = buffer; }

  /// The meeting's lines, as this process maps them.
  const std::shared_ptr<char>& meeting() const { return memory_; }

  void advance() final;
  char* place_of(int node, const FrameHeader& frame) final;
  void received(int node, const FrameHeader& frame) final;
  void sent() final;
  uint32_t pending_call() const final;
  uint32_t next_call() const final { return completed_ + 1; }
  void check_alive() const final;
  int num_entered() const final;
  std::vector<int> missing_ranks() const final;
  std::function<bool()> misses(int host_rank) const final;
  Silence silence() const final;
  const std::string& name() const final { return name_; }

 protected:
  /// Once, when the descriptions of all ranks are there.
  virtual void set_up() = 0;
  /// All ranks of this host have started call_.
  virtual void begin() = 0;
  /// As in NetworkCollective, for frames with data; the call is the current one or the next.
  virtual char* place_of_data(int node, const FrameHeader& frame) = 0;
  virtual void received_data(int node, const FrameHeader& frame) = 0;
  /// A frame of the current call has left; frames to one node leave in the order of send().
  virtual void frame_left() {}
  /// All that this node waits for has come.
  virtual bool finished() const = 0;
  /// Call call_ is over.
  virtual void end() = 0;
  /// This node has nothing of the current call from `node`. `first_hand`: nothing that does not
  /// depend on others.
  virtual bool waits_for(int node, bool first_hand) const = 0;
  /// Something of the next call has come from `node`.
  virtual bool has_come_from(int node) const = 0;

  HostGroup& host() const { return engine_.host(); }
  int node() const { return engine_.node(); }
  int num_local() const { return host().size(); }
  RankLines& lines(int host_rank) const {
    return reinterpret_cast<RankLines*>(memory_.get())[host_rank];
  }
  std::shared_ptr<RankLines> shared_lines() const {
    return {memory_, reinterpret_cast<RankLines*>(memory_.get())};
  }
  /// The buffer of a rank of this host in this call.
  char* buffer_of(int host_rank);
  /// Sends at most kMaxFrameBytes.
  void send(int node, FrameKind kind, int part, uint64_t offset, const char* data, size_t bytes);
  /// Frames of this collective that have not left.
  int num_unsent() const { return unsent_; }
  void end_if_finished();
  [[noreturn]] void refuse(int node, const FrameHeader& frame) const;
  bool is_current_or_next(uint32_t call) const { return call - completed_ - 1 < 2; }

  NetworkEngine& engine_;
  const NetworkLayout& layout_;
  const size_t index_;
  const Description description_;
  std::vector<Description> descriptions_;  ///< of every rank, when all are there
  uint32_t completed_ = 0;                 ///< calls
  uint32_t call_ = 0;                      ///< the current one, when running_
  bool running_ = false;

 private:
  bool all_local(std::atomic<uint32_t> RankLines::*counter, uint32_t value) const;
  bool is_described(int node) const;
  void describe();
  void compare();

  const std::string name_;
  const std::shared_ptr<char> memory_;
  std::vector<char*> direct_;  ///< by rank of this host, for those of this process
  struct Mapping {
    uint64_t location = kPrivate;
    std::shared_ptr<char> memory;
  };
  std::vector<Mapping> mappings_;                 ///< for those of other processes
  std::vector<std::vector<Description>> theirs_;  ///< by node
  int nodes_described_ = 0;
  bool described_ = false;
  bool ready_ = false;  ///< set_up() has run
  int unsent_ = 0;      ///< frames
};

/// The reduction of replica_tree.h: every node adds its own ranks, sends what stands in its roots
/// to the owners of the elements, which add the rest and, for an all-reduce, send the sums to all.
/// In pieces, so that sending, adding and receiving overlap. Small all-reduces, between two nodes
/// up to a larger size: every node sends all to all and adds. One that is `sent_as` a half type
/// travels in it: what stands in a root is rounded, added in f32, and the sum is rounded.
std::shared_ptr<NodeCollective> make_node_reduction(NetworkEngine& engine,
                                                    const NetworkLayout& layout, size_t index,
                                                    const Description& description);

/// Every rank's bytes, in rank order, or the root's alone, in shared memory for all ranks of the
/// host: RankLines::result of rank 0 of the host says where. Two calls take turns.
std::shared_ptr<NodeCollective> make_node_copy(NetworkEngine& engine, const NetworkLayout& layout,
                                               size_t index, const Description& description);

}  // namespace cohort::distribute
