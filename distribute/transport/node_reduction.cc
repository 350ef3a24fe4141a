#include <algorithm>
#include <cstring>

#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/sum_loops.h"
#include "cohort/distribute/transport/node_collective.h"
#include "cohort/distribute/transport/tree_split.h"

namespace cohort::distribute {
namespace {

constexpr size_t kDirectPairBytes = size_t{512} << 10;  // bytes are equal; adding costs more
constexpr size_t kTwoTurnBytes = size_t{64}
                                 << 10;  // up to here the next call may be received early
constexpr int64_t kSumBlock = 2048;      // elements that stay in the first-level cache

/// Offsets and sizes are in bytes of the ranks' buffers, but for what a frame says: that is in
/// bytes of the dtype that travels.
class NodeReduction final : public NodeCollective {
 public:
  NodeReduction(NetworkEngine& engine, const NetworkLayout& layout, size_t index,
                const Description& description)
      : NodeCollective(engine, layout, index, description),
        dtype_(static_cast<DType>(description.dtype)),
        op_(static_cast<ops::ReduceOp>(description.op)),
        element_(size_of(dtype_)),
        bytes_(static_cast<size_t>(description.count) * element_),
        half_(half_loops(description.sent_as)),
        split_(layout.block_sizes, layout.node_of, layout.num_nodes()),
        scatters_(description.kind == CollectiveKind::kReduceScatter),
        direct_mode_(!scatters_ &&
                     bytes_ <= (is_pair_of_trees() ? kDirectPairBytes : layout.one_hop_bytes)),
        two_turns_(direct_mode_ && bytes_ <= kTwoTurnBytes),
        buffers_(static_cast<size_t>(num_local())),
        at_(static_cast<size_t>(layout.size())),
        foreign_of_(at_.size(), -1),
        results_(static_cast<size_t>(layout.num_nodes())) {
    for (int n = 0; n < layout.num_nodes(); ++n) pieces_.push_back(pieces_of(n));
  }

 private:
  /// A sum that comes from another node: of the block of `rank`, as far as that node could add it.
  struct Foreign {
    int rank, node;
    char* stage[2];      ///< for even and odd calls; the same unless two_turns_
    size_t progress[2];  ///< bytes that have come
    size_t base[2];      ///< what stands at the beginning of the stage
  };

  static const HalfLoops* half_loops(uint32_t sent_as) {
    if (sent_as == 0) return nullptr;
    return static_cast<DType>(sent_as) == DType::kBF16 ? &sum_table().bf16 : &sum_table().f16;
  }

  /// Two nodes with one root each: all to all is then as few bytes as any way, in one hop.
  bool is_pair_of_trees() const {
    return split_.roots.size() == 2 && split_.roots[0].size() == 1 && split_.roots[1].size() == 1;
  }

  const std::vector<int>& own_roots() const { return split_.roots[static_cast<size_t>(node())]; }
  const std::vector<int>& own_ranks() const {
    return layout_.ranks_of[static_cast<size_t>(node())];
  }
  /// Bytes on the network for so many in a buffer, and back.
  size_t on_wire(size_t bytes) const { return half_ ? bytes / 2 : bytes; }
  size_t off_wire(size_t bytes) const { return half_ ? bytes * 2 : bytes; }

  /// Bytes of a buffer that are sent in one frame. `from`: how many of the same owner are before.
  struct Piece {
    size_t from, begin, bytes;
    int rank;  ///< of this node alone, where its sum goes; -1: to all ranks
  };
  /// What a node adds, in the order in which it does.
  using Pieces = std::vector<Piece>;

  /// Adds bytes [begin, end).
  static void cut(size_t begin, size_t end, int rank, Pieces& pieces) {
    size_t from = pieces.empty() ? 0 : pieces.back().from + pieces.back().bytes;
    for (size_t at = begin; at < end; from += pieces.back().bytes, at += kPiece)
      pieces.push_back({from, at, std::min(kPiece, end - at), rank});
  }

  /// All of an all-reduce that takes one hop, whole cache lines of another, and the ranges of the
  /// node's ranks of a reduce-scatter.
  Pieces pieces_of(int node) const {
    Pieces pieces;
    const auto n = static_cast<size_t>(layout_.num_nodes()), i = static_cast<size_t>(node);
    const size_t lines = (bytes_ + 63) / 64, each = bytes_ / at_.size();
    if (direct_mode_) {
      cut(0, bytes_, -1, pieces);
    } else if (!scatters_) {
      cut(std::min(bytes_, lines * i / n * 64), std::min(bytes_, lines * (i + 1) / n * 64), -1,
          pieces);
    } else {
      for (const int rank : layout_.ranks_of[i])
        cut(static_cast<size_t>(rank) * each, static_cast<size_t>(rank + 1) * each, rank, pieces);
    }
    return pieces;
  }

  const Pieces& pieces(int node) const { return pieces_[static_cast<size_t>(node)]; }
  size_t owned_bytes(int node) const {
    return pieces(node).empty() ? 0 : pieces(node).back().from + pieces(node).back().bytes;
  }
  /// The piece of a node's before which it has so many bytes; null: none begins there.
  const Piece* piece_at(int node, size_t from) const {
    const Pieces& all = pieces(node);
    const auto it = std::partition_point(all.begin(), all.end(),
                                         [&](const Piece& piece) { return piece.from < from; });
    return it != all.end() && it->from == from ? &*it : nullptr;
  }

  void set_up() override {
    for (int n = 0; n < layout_.num_nodes(); ++n) {
      if (n == node()) continue;
      for (const int rank : split_.roots[static_cast<size_t>(n)]) {
        foreign_of_[static_cast<size_t>(rank)] = static_cast<int>(foreign_.size());
        foreign_.push_back({rank, n, {}, {}, {}});
      }
    }
    const size_t each = (on_wire(owned_bytes(node())) + 63) / 64 * 64, turns = two_turns_ ? 2 : 1;
    stages_ = host().heap()->allocate(each * turns * foreign_.size());
    char* at = static_cast<char*>(stages_.get());
    for (Foreign& foreign : foreign_) {
      foreign.stage[0] = at;
      foreign.stage[1] = at + (turns - 1) * each;
      at += turns * each;
    }
    if (!half_) return;
    packed_ = host().heap()->allocate(on_wire(bytes_) * (own_roots().size() + 1));
    widened_.resize(foreign_.size() * kPiece / sizeof(float));
  }

  void begin() override {
    for (int r = 0; r < num_local(); ++r) buffers_[static_cast<size_t>(r)] = buffer_of(r);
    reduced_ = 0;
    next_piece_ = 0;
    num_frames_ = 0;
    std::fill(results_.begin(), results_.end(), size_t{0});
    results_left_ = bytes_ - owned_bytes(node());
    size_t most = 0;
    for (const Pieces& owned : pieces_) most = std::max(most, owned.size());
    for (size_t i = 0; i < most; ++i) {
      if (direct_mode_) prepare(pieces(node())[i], true);
      for (int step = 1; step <= layout_.num_nodes(); ++step)
        give((node() + step) % layout_.num_nodes(), i);
    }
    reduce();
  }

  /// Adds this node's ranks in the i-th piece of `owner`'s, and sends it there.
  void give(int owner, size_t i) {
    if (i >= pieces(owner).size()) return;
    const Piece& piece = pieces(owner)[i];
    if (!direct_mode_) prepare(piece, owner == node());
    if (owner == node()) return;
    for (size_t r = 0; r < own_roots().size(); ++r) {
      const char* data = half_ ? packed(r) : local(own_roots()[r]);
      send(owner, FrameKind::kPartial, own_roots()[r], on_wire(piece.begin),
           data + on_wire(piece.begin), on_wire(piece.bytes));
      ++num_frames_;
    }
  }

  /// Adds this node's ranks; rounds what stands in its roots, there too if it is `used_here`.
  void prepare(const Piece& piece, bool used_here) {
    add_local(piece);
    if (!half_) return;
    const auto n = static_cast<int64_t>(piece.bytes / element_);
    for (size_t i = 0; i < own_roots().size(); ++i) {
      auto* values = reinterpret_cast<float*>(local(own_roots()[i]) + piece.begin);
      auto* halves = reinterpret_cast<uint16_t*>(packed(i) + on_wire(piece.begin));
      half_->narrow(values, halves, n);
      if (used_here) half_->widen(halves, values, n);
    }
  }

  /// With half types: what is sent of the i-th root; behind the last, the sums.
  char* packed(size_t i) const { return static_cast<char*>(packed_.get()) + i * on_wire(bytes_); }
  char* packed_sums() const { return packed(own_roots().size()); }

  /// The buffer of a rank of this host.
  char* local(int rank) const {
    const std::vector<int>& ranks = own_ranks();
    return buffers_[static_cast<size_t>(std::lower_bound(ranks.begin(), ranks.end(), rank) -
                                        ranks.begin())];
  }

  void add_local(const Piece& piece) {
    const TreeSplit::Order& order = split_.local[static_cast<size_t>(node())];
    if (order.empty()) return;
    for (const int rank : own_ranks()) at_[static_cast<size_t>(rank)] = local(rank) + piece.begin;
    add(order, piece.bytes);
  }

  /// Adds `bytes` from at_ on in this order, block by block.
  void add(const TreeSplit::Order& order, size_t bytes) {
    const size_t block = static_cast<size_t>(kSumBlock) * element_;
    for (size_t from = 0; from < bytes; from += block) {
      const auto n = static_cast<int64_t>(std::min(block, bytes - from) / element_);
      for (const auto& [a, b] : order)
        reduce_into(at_[static_cast<size_t>(a)] + from, at_[static_cast<size_t>(b)] + from, n,
                    dtype_, op_);
    }
  }

  /// In direct mode sums overwrite what is sent: as much of it as has left.
  size_t left() const {
    if (!direct_mode_ || half_) return bytes_;
    const size_t waiting = std::min(num_frames_, static_cast<size_t>(num_unsent()));
    if (waiting == 0) return bytes_;
    // Frames to one node leave in order.
    return layout_.num_nodes() == 2 ? (num_frames_ - waiting) / own_roots().size() * kPiece : 0;
  }

  void frame_left() override {
    if (direct_mode_) reduce();
  }

  /// Adds what has come from all other nodes and sends it on.
  void reduce() {
    const Pieces& own = pieces(node());
    size_t there = std::min(owned_bytes(node()), left());
    for (const Foreign& foreign : foreign_) there = std::min(there, foreign.progress[call_ % 2]);
    for (; next_piece_ < own.size() && reduced_ + own[next_piece_].bytes <= there; ++next_piece_) {
      const Piece& piece = own[next_piece_];
      const size_t n = piece.bytes, at = piece.begin;
      find_parts(at, n);
      add(split_.rest, n);
      char* sums = at_[0];
      if (op_ == ops::ReduceOp::kMean)
        divide_by(sums, static_cast<int64_t>(n / element_), dtype_, num_replicas());
      if (half_)
        half_->narrow(reinterpret_cast<float*>(sums),
                      reinterpret_cast<uint16_t*>(packed_sums() + on_wire(at)),
                      static_cast<int64_t>(n / element_));
      publish(piece, sums);
      reduced_ += n;
      for (int step = 1; step < layout_.num_nodes() && sends_results(); ++step)
        send((node() + step) % layout_.num_nodes(), FrameKind::kResult, 0, on_wire(at),
             half_ ? packed_sums() + on_wire(at) : buffers_[0] + at, on_wire(n));
    }
  }

  bool sends_results() const { return !direct_mode_ && !scatters_; }

  /// Puts into at_ where `n` bytes from `at` on of every block stand.
  void find_parts(size_t at, size_t n) {
    for (const int rank : own_ranks()) at_[static_cast<size_t>(rank)] = local(rank) + at;
    float* wide = widened_.data();
    for (const Foreign& foreign : foreign_) {
      char* stage = foreign.stage[call_ % 2] + on_wire(reduced_ - foreign.base[call_ % 2]);
      if (half_) {
        half_->widen(reinterpret_cast<uint16_t*>(stage), wide, static_cast<int64_t>(n / element_));
        stage = reinterpret_cast<char*>(wide);
        wide += kPiece / sizeof(float);
      }
      at_[static_cast<size_t>(foreign.rank)] = stage;
    }
  }

  /// Gives finished elements to the ranks of this host that get them: from `sums`, or the packed
  /// ones.
  void publish(const Piece& piece, const char* sums) {
    const size_t at = piece.begin;
    char* first = piece.rank < 0 ? buffers_[0] : local(piece.rank);
    if (half_) {
      half_->widen(reinterpret_cast<uint16_t*>(packed_sums() + on_wire(at)),
                   reinterpret_cast<float*>(first + at),
                   static_cast<int64_t>(piece.bytes / element_));
      sums = first + at;
    }
    for (char* buffer : buffers_)
      if ((piece.rank < 0 || buffer == first) && buffer + at != sums)
        std::memcpy(buffer + at, sums, piece.bytes);
  }

  int64_t num_replicas() const {
    int64_t sum = 0;
    for (const int block : layout_.block_sizes) sum += block;
    return sum;
  }

  char* place_of_data(int from, const FrameHeader& frame) override {
    const size_t offset = off_wire(frame.offset), bytes = off_wire(frame.bytes);
    if (bytes == 0 || bytes % element_ != 0) refuse(from, frame);
    if (frame.kind == FrameKind::kPartial && frame.part < foreign_of_.size()) {
      const int index = foreign_of_[frame.part];
      if (index < 0) refuse(from, frame);
      Foreign& foreign = foreign_[static_cast<size_t>(index)];
      // The stages hold one call, and the next may begin elsewhere before this one has ended here.
      if ((scatters_ || (direct_mode_ && !two_turns_)) && running_ && frame.call != call_)
        return nullptr;
      const size_t progress = foreign.progress[frame.call % 2];
      size_t& base = foreign.base[frame.call % 2];
      const Piece* piece = piece_at(node(), progress);
      if (foreign.node != from || !piece || offset != piece->begin || bytes != piece->bytes)
        refuse(from, frame);
      // What came before has been added: its memory, still in the caches, serves again.
      if (running_ && frame.call == call_ && progress == reduced_) base = progress;
      return foreign.stage[frame.call % 2] + on_wire(progress - base);
    }
    const Piece* piece = piece_at(from, results_[static_cast<size_t>(from)]);
    if (frame.kind != FrameKind::kResult || !running_ || frame.call != call_ || !sends_results() ||
        !piece || offset != piece->begin || bytes != piece->bytes)
      refuse(from, frame);
    return half_ ? packed_sums() + on_wire(offset) : buffers_[0] + offset;
  }

  void received_data(int from, const FrameHeader& frame) override {
    const size_t bytes = off_wire(frame.bytes);
    if (frame.kind == FrameKind::kPartial) {
      foreign_[static_cast<size_t>(foreign_of_[frame.part])].progress[frame.call % 2] += bytes;
      if (running_ && frame.call == call_) reduce();
      return;
    }
    size_t& progress = results_[static_cast<size_t>(from)];
    const Piece& piece = *piece_at(from, progress);
    publish(piece, buffers_[0] + piece.begin);
    progress += bytes;
    results_left_ -= bytes;
  }

  bool finished() const override {
    return reduced_ == owned_bytes(node()) && (!sends_results() || results_left_ == 0);
  }

  void end() override {
    for (Foreign& foreign : foreign_) foreign.progress[call_ % 2] = foreign.base[call_ % 2] = 0;
  }

  bool waits_for(int from, bool first_hand) const override {
    const size_t own = owned_bytes(node());
    for (const Foreign& foreign : foreign_)
      if (foreign.node == from && foreign.progress[(completed_ + 1) % 2] < own) return true;
    return !first_hand && sends_results() &&
           results_[static_cast<size_t>(from)] < owned_bytes(from);
  }

  bool has_come_from(int from) const override {
    if (running_ && results_[static_cast<size_t>(from)] > 0) return true;
    return std::any_of(foreign_.begin(), foreign_.end(), [&](const Foreign& foreign) {
      return foreign.node == from && foreign.progress[(completed_ + 1) % 2] > 0;
    });
  }

  static constexpr size_t kPiece = kMaxFrameBytes;  ///< of a buffer, sent in one frame

  const DType dtype_;
  const ops::ReduceOp op_;
  const size_t element_;
  const size_t bytes_;
  const HalfLoops* const half_;  ///< to the dtype that travels; null: as it is
  const TreeSplit split_;
  const bool scatters_;
  const bool direct_mode_;  ///< all to all: every node adds every element
  const bool two_turns_;
  std::vector<Pieces> pieces_;  ///< of every node
  std::vector<char*> buffers_;  ///< of the ranks of this host
  std::vector<char*> at_;       ///< where the additions find the block of each rank
  std::vector<Foreign> foreign_;
  std::vector<int> foreign_of_;  ///< of each rank
  std::shared_ptr<void> stages_;
  std::shared_ptr<void> packed_;
  std::vector<float> widened_;   ///< a piece of every foreign sum
  size_t num_frames_ = 0;        ///< of the current call
  size_t reduced_ = 0;           ///< bytes of the own pieces that are added
  size_t next_piece_ = 0;        ///< of the own ones, to be added
  std::vector<size_t> results_;  ///< bytes of each node's pieces that have come
  size_t results_left_ = 0;
};

}  // namespace

std::shared_ptr<NodeCollective> make_node_reduction(NetworkEngine& engine,
                                                    const NetworkLayout& layout, size_t index,
                                                    const Description& description) {
  return std::make_shared<NodeReduction>(engine, layout, index, description);
}

}  // namespace cohort::distribute
