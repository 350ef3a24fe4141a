#include <algorithm>
#include <cstring>

#include "cohort/distribute/transport/node_collective.h"

namespace cohort::distribute {
namespace {

class NodeCopy final : public NodeCollective {
 public:
  using NodeCollective::NodeCollective;

  ~NodeCopy() override {
    if (result_)
      engine_.keep_until(
          std::move(result_), [lines = shared_lines(), call = completed_, count = num_local()] {
            // Zeros: all have dropped the collective.
            for (int r = 0; r < count; ++r)
              if (reached(lines.get()[r].prepared, 1) && !reached(lines.get()[r].taken, call))
                return false;
            return true;
          });
  }

 private:
  struct Block {
    size_t offset = 0, bytes = 0;
    size_t progress[2] = {};  ///< bytes that have come, in even and odd calls
    bool complete[2] = {};
  };

  void set_up() override {
    blocks_.resize(descriptions_.size());
    size_t total = 0;
    for (size_t rank = 0; rank < blocks_.size(); ++rank) {
      blocks_[rank].offset = total;
      blocks_[rank].bytes = gives(rank) ? descriptions_[rank].bytes() : 0;
      total += blocks_[rank].bytes;
    }
    total_ = (total + 63) / 64 * 64;
    result_ = host().heap()->allocate(2 * total_);
    lines(0).result = host().heap()->offset_of(result_.get(), 2 * total_);
    lines(0).result_bytes = total_;
    lines(0).result_used = total;
  }

  /// Of a broadcast the root gives all.
  bool gives(size_t rank) const {
    return description_.kind != CollectiveKind::kBroadcast || rank == description_.op;
  }

  char* place(int rank, uint32_t call) const {
    return static_cast<char*>(result_.get()) + call % 2 * total_ +
           blocks_[static_cast<size_t>(rank)].offset;
  }

  const std::vector<int>& ranks_of(int node) const {
    return layout_.ranks_of[static_cast<size_t>(node)];
  }

  void begin() override {
    for (int r = 0; r < num_local(); ++r) {
      const int rank = ranks_of(node())[static_cast<size_t>(r)];
      const size_t bytes = blocks_[static_cast<size_t>(rank)].bytes;
      if (bytes > 0) std::memcpy(place(rank, call_), buffer_of(r), bytes);
      // An empty block is a frame too: nobody ends before all have begun.
      for (size_t from = 0; from == 0 || from < bytes; from += kMaxFrameBytes)
        for (int step = 1; step < layout_.num_nodes(); ++step)
          send((node() + step) % layout_.num_nodes(), FrameKind::kBlock, rank, from,
               place(rank, call_) + from, std::min(kMaxFrameBytes, bytes - from));
    }
  }

  char* place_of_data(int from, const FrameHeader& frame) override {
    if (frame.kind != FrameKind::kBlock || frame.part >= blocks_.size()) refuse(from, frame);
    const Block& block = blocks_[frame.part];
    const size_t progress = block.progress[frame.call % 2];
    if (layout_.node_of[frame.part] != from || frame.offset != progress ||
        frame.bytes > block.bytes - progress || block.complete[frame.call % 2])
      refuse(from, frame);
    return place(static_cast<int>(frame.part), frame.call) + progress;
  }

  void received_data(int, const FrameHeader& frame) override {
    Block& block = blocks_[frame.part];
    size_t& progress = block.progress[frame.call % 2];
    progress += frame.bytes;
    block.complete[frame.call % 2] = progress == block.bytes;
  }

  bool finished() const override {
    for (int n = 0; n < layout_.num_nodes(); ++n)
      if (n != node() && waits_for(n, true)) return false;
    return true;
  }

  bool waits_for(int from, bool) const override {
    const std::vector<int>& ranks = ranks_of(from);
    return std::any_of(ranks.begin(), ranks.end(), [&](int rank) {
      return !blocks_[static_cast<size_t>(rank)].complete[(completed_ + 1) % 2];
    });
  }

  bool has_come_from(int from) const override {
    const std::vector<int>& ranks = ranks_of(from);
    return std::any_of(ranks.begin(), ranks.end(), [&](int rank) {
      const Block& block = blocks_[static_cast<size_t>(rank)];
      const size_t turn = (completed_ + 1) % 2;
      return block.progress[turn] > 0 || block.complete[turn];
    });
  }

  void end() override {
    for (Block& block : blocks_) {
      block.progress[call_ % 2] = 0;
      block.complete[call_ % 2] = false;
    }
  }

  std::vector<Block> blocks_;  ///< of every rank
  size_t total_ = 0;           ///< bytes of one call, padded
  std::shared_ptr<void> result_;
};

}  // namespace

std::shared_ptr<NodeCollective> make_node_copy(NetworkEngine& engine, const NetworkLayout& layout,
                                               size_t index, const Description& description) {
  return std::make_shared<NodeCopy>(engine, layout, index, description);
}

}  // namespace cohort::distribute
