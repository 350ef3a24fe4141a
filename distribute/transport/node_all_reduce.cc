#include <algorithm>
#include <cstring>

#include "distribute/elementwise.h"
#include "distribute/transport/node_collective.h"
#include "distribute/transport/tree_split.h"

namespace cohort::distribute {
namespace {

constexpr size_t kDirectBytes = 4096;  // up to here one hop beats fewer bytes
constexpr int64_t kBlock = 2048;       // elements that stay in the first-level cache

class NodeAllReduce final : public NodeCollective {
 public:
  NodeAllReduce(NetworkEngine& engine, const NetworkLayout& layout, size_t index,
                const Description& description, DType dtype, ops::ReduceOp op)
      : NodeCollective(engine, layout, index, description),
        dtype_(dtype),
        op_(op),
        element_(size_of(dtype)),
        bytes_(static_cast<size_t>(description.count) * element_),
        direct_mode_(bytes_ <= kDirectBytes),
        split_(layout.block_sizes, layout.node_of, layout.num_nodes()),
        buffers_(static_cast<size_t>(num_local())),
        at_(static_cast<size_t>(layout.size())),
        foreign_of_(at_.size(), -1),
        results_(static_cast<size_t>(layout.num_nodes())) {}

 private:
  /// Bytes [begin, end).
  struct Range {
    size_t begin, end;
    size_t bytes() const { return end - begin; }
  };

  /// A sum that comes from another node: of the block of `rank`, as far as that node could add it.
  struct Foreign {
    int rank, node;
    char* stage[2];      ///< for even and odd calls; the same unless in direct mode
    size_t progress[2];  ///< bytes that have come
    size_t base[2];      ///< what stands at the beginning of the stage
  };

  /// What a node adds: whole cache lines.
  Range chunk(int node) const {
    if (direct_mode_) return {0, bytes_};
    const auto n = static_cast<size_t>(layout_.num_nodes()), i = static_cast<size_t>(node);
    const size_t lines = (bytes_ + 63) / 64;
    return {std::min(bytes_, lines * i / n * 64), std::min(bytes_, lines * (i + 1) / n * 64)};
  }

  void set_up() override {
    const Range own = chunk(node());
    for (int n = 0; n < layout_.num_nodes(); ++n) {
      if (n == node()) continue;
      for (const int rank : split_.roots[static_cast<size_t>(n)]) {
        foreign_of_[static_cast<size_t>(rank)] = static_cast<int>(foreign_.size());
        foreign_.push_back({rank, n, {}, {}, {}});
      }
    }
    if (direct_mode_) kept_.resize(bytes_ * split_.roots[static_cast<size_t>(node())].size());
    const size_t each = (own.bytes() + 63) / 64 * 64, turns = direct_mode_ ? 2 : 1;
    stages_ = host().heap()->allocate(each * turns * foreign_.size());
    char* at = static_cast<char*>(stages_.get());
    for (Foreign& foreign : foreign_) {
      foreign.stage[0] = at;
      foreign.stage[1] = at + (turns - 1) * each;
      at += turns * each;
    }
  }

  void begin() override {
    for (int r = 0; r < num_local(); ++r) buffers_[static_cast<size_t>(r)] = buffer_of(r);
    reduced_ = 0;
    std::fill(results_.begin(), results_.end(), size_t{0});
    results_left_ = bytes_ - chunk(node()).bytes();
    size_t longest = 0;
    for (int n = 0; n < layout_.num_nodes(); ++n) longest = std::max(longest, chunk(n).bytes());
    if (direct_mode_) {
      add_local({0, bytes_});
      keep_roots();
    }
    for (size_t from = 0; from < longest; from += kMaxFrameBytes)
      for (int step = 1; step <= layout_.num_nodes(); ++step)
        give((node() + step) % layout_.num_nodes(), from);
    reduce();
  }

  /// Adds this node's ranks in one piece of `owner`'s chunk, and sends it there.
  void give(int owner, size_t from) {
    const Range all = chunk(owner);
    const Range piece{std::min(all.end, all.begin + from),
                      std::min(all.end, all.begin + from + kMaxFrameBytes)};
    if (piece.bytes() == 0) return;
    if (!direct_mode_) add_local(piece);
    if (owner == node()) return;
    const std::vector<int>& roots = split_.roots[static_cast<size_t>(node())];
    for (size_t i = 0; i < roots.size(); ++i) {
      const char* from_root = direct_mode_ ? kept_.data() + i * bytes_ : local(roots[i]);
      send(owner, FrameKind::kPartial, roots[i], piece.begin, from_root + piece.begin,
           piece.bytes());
    }
  }

  /// In direct mode the sum may be written before what was sent has left.
  void keep_roots() {
    const std::vector<int>& roots = split_.roots[static_cast<size_t>(node())];
    for (size_t i = 0; i < roots.size(); ++i)
      if (bytes_ > 0) std::memcpy(kept_.data() + i * bytes_, local(roots[i]), bytes_);
  }

  /// The buffer of a rank of this host.
  char* local(int rank) const {
    const std::vector<int>& ranks = layout_.ranks_of[static_cast<size_t>(node())];
    return buffers_[static_cast<size_t>(std::lower_bound(ranks.begin(), ranks.end(), rank) -
                                        ranks.begin())];
  }

  void add_local(Range range) {
    const TreeSplit::Order& order = split_.local[static_cast<size_t>(node())];
    if (order.empty()) return;
    for (const int rank : layout_.ranks_of[static_cast<size_t>(node())])
      at_[static_cast<size_t>(rank)] = local(rank) + range.begin;
    add(order, range.bytes());
  }

  /// Adds `bytes` from at_ on in this order, block by block.
  void add(const TreeSplit::Order& order, size_t bytes) {
    const size_t block = static_cast<size_t>(kBlock) * element_;
    for (size_t from = 0; from < bytes; from += block) {
      const auto n = static_cast<int64_t>(std::min(block, bytes - from) / element_);
      for (const auto& [a, b] : order)
        reduce_into(at_[static_cast<size_t>(a)] + from, at_[static_cast<size_t>(b)] + from, n,
                    dtype_, op_);
    }
  }

  /// Adds what has come from all other nodes and sends it on.
  void reduce() {
    const Range own = chunk(node());
    size_t there = own.bytes();
    for (const Foreign& foreign : foreign_) there = std::min(there, foreign.progress[call_ % 2]);
    while (reduced_ < there) {
      const size_t n = std::min(kMaxFrameBytes, there - reduced_), at = own.begin + reduced_;
      for (const int rank : layout_.ranks_of[static_cast<size_t>(node())])
        at_[static_cast<size_t>(rank)] = local(rank) + at;
      for (const Foreign& foreign : foreign_)
        at_[static_cast<size_t>(foreign.rank)] =
            foreign.stage[call_ % 2] + (reduced_ - foreign.base[call_ % 2]);
      add(split_.rest, n);
      if (op_ == ops::ReduceOp::kMean)
        divide_by(at_[0], static_cast<int64_t>(n / element_), dtype_, num_replicas());
      for (char* buffer : buffers_)
        if (buffer + at != at_[0]) std::memcpy(buffer + at, at_[0], n);
      reduced_ += n;
      for (int step = 1; step < layout_.num_nodes() && !direct_mode_; ++step)
        send((node() + step) % layout_.num_nodes(), FrameKind::kResult, 0, at, buffers_[0] + at, n);
    }
  }

  int64_t num_replicas() const {
    int64_t sum = 0;
    for (const int block : layout_.block_sizes) sum += block;
    return sum;
  }

  char* place_of_data(int from, const FrameHeader& frame) override {
    if (frame.bytes == 0 || frame.bytes % element_ != 0) refuse(from, frame);
    if (frame.kind == FrameKind::kPartial && frame.part < foreign_of_.size()) {
      const int index = foreign_of_[frame.part];
      if (index < 0) refuse(from, frame);
      Foreign& foreign = foreign_[static_cast<size_t>(index)];
      const Range own = chunk(node());
      const size_t progress = foreign.progress[frame.call % 2];
      size_t& base = foreign.base[frame.call % 2];
      if (foreign.node != from || frame.offset != own.begin + progress ||
          frame.bytes > own.bytes() - progress)
        refuse(from, frame);
      // What came before has been added: its memory, still in the caches, serves again.
      if (running_ && frame.call == call_ && progress == reduced_) base = progress;
      return foreign.stage[frame.call % 2] + (progress - base);
    }
    const Range theirs = chunk(from);
    const size_t progress = results_[static_cast<size_t>(from)];
    if (frame.kind != FrameKind::kResult || !running_ || frame.call != call_ || direct_mode_ ||
        frame.offset != theirs.begin + progress || frame.bytes > theirs.bytes() - progress)
      refuse(from, frame);
    return buffers_[0] + frame.offset;
  }

  void received_data(int from, const FrameHeader& frame) override {
    if (frame.kind == FrameKind::kPartial) {
      foreign_[static_cast<size_t>(foreign_of_[frame.part])].progress[frame.call % 2] +=
          frame.bytes;
      if (running_ && frame.call == call_) reduce();
      return;
    }
    for (size_t r = 1; r < buffers_.size(); ++r)
      std::memcpy(buffers_[r] + frame.offset, buffers_[0] + frame.offset, frame.bytes);
    results_[static_cast<size_t>(from)] += frame.bytes;
    results_left_ -= frame.bytes;
  }

  bool finished() const override {
    return reduced_ == chunk(node()).bytes() && (direct_mode_ || results_left_ == 0);
  }

  void end() override {
    for (Foreign& foreign : foreign_) foreign.progress[call_ % 2] = foreign.base[call_ % 2] = 0;
  }

  bool waits_for(int from, bool first_hand) const override {
    const size_t own = chunk(node()).bytes();
    for (const Foreign& foreign : foreign_)
      if (foreign.node == from && foreign.progress[(completed_ + 1) % 2] < own) return true;
    return !first_hand && !direct_mode_ &&
           results_[static_cast<size_t>(from)] < chunk(from).bytes();
  }

  const DType dtype_;
  const ops::ReduceOp op_;
  const size_t element_;
  const size_t bytes_;
  const bool direct_mode_;
  const TreeSplit split_;
  std::vector<char*> buffers_;  ///< of the ranks of this host
  std::vector<char*> at_;       ///< where the additions find the block of each rank
  std::vector<Foreign> foreign_;
  std::vector<int> foreign_of_;  ///< of each rank
  std::shared_ptr<void> stages_;
  std::vector<char> kept_;       ///< in direct mode: what stood in this node's roots
  size_t reduced_ = 0;           ///< bytes of the own chunk that are added
  std::vector<size_t> results_;  ///< bytes of each node's chunk that have come
  size_t results_left_ = 0;
};

}  // namespace

std::shared_ptr<NodeCollective> make_node_all_reduce(NetworkEngine& engine,
                                                     const NetworkLayout& layout, size_t index,
                                                     DType dtype, int64_t count, ops::ReduceOp op) {
  return std::make_shared<NodeAllReduce>(engine, layout, index,
                                         Description{.kind = CollectiveKind::kAllReduce,
                                                     .dtype = static_cast<uint32_t>(dtype),
                                                     .op = static_cast<uint32_t>(op),
                                                     .count = count},
                                         dtype, op);
}

}  // namespace cohort::distribute
