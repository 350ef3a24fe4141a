// A fused node's kernel is made of the kernels of its ops, each made for one block of the walk: a
// block goes through all of them before the next is begun, so that what lies between stays in the
// first-level cache. The same kernels as unfused, hence the same bits.
#include "cohort/core/ops/fused.h"

#include <algorithm>
#include <map>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

constexpr int64_t kBlockBytes = 4 << 10;  // of one value: several share the first-level cache
constexpr int64_t kFlopsEach = 8;         // of one op and element, about

int64_t pieces_of(int64_t n, int64_t piece) { return (n + piece - 1) / piece; }

/// How the walk is cut: into groups of whole rows, or into pieces of single rows.
struct Blocks {
  int64_t rows, columns;              ///< of the walk
  int64_t block_rows, block_columns;  ///< of every block but the last ones

  Blocks(const ops::FusedWalk& walk, int64_t block_elements)
      : rows(walk.rows),
        columns(walk.columns),
        block_rows(std::max<int64_t>(
            1, std::min(rows, columns > 0 ? block_elements / columns : block_elements))),
        block_columns(std::min(columns, block_elements)) {}

  int64_t per_row() const { return pieces_of(columns, block_columns); }
  int64_t count() const {
    return rows == 0 || columns == 0 ? 0 : pieces_of(rows, block_rows) * per_row();
  }
  int64_t first_row(int64_t block) const { return block / per_row() * block_rows; }
  int64_t first_column(int64_t block) const { return block % per_row() * block_columns; }
  int64_t rows_of(int64_t block) const { return std::min(block_rows, rows - first_row(block)); }
  int64_t columns_of(int64_t block) const {
    return std::min(block_columns, columns - first_column(block));
  }
};

struct Block {
  int64_t row, column;
};

/// The ops of the body, bound to blocks of one size. One thread runs it at a time.
class BlockProgram {
 public:
  BlockProgram(const KernelRequest& request, const Graph& body, const ops::FusedWalk& walk,
               int64_t rows, int64_t columns, Device& device)
      : walk_columns_(walk.columns), slots_(body.nodes().size(), nullptr) {
    operands_.resize(slots_.size());
    for (size_t i = 0; i < walk.inputs.size(); ++i)
      add_input(*body.placeholders()[i], request.inputs[i], walk.inputs[i], rows, columns);
    for (const auto& node : body.nodes())
      if (node->op().source != Source::kInput) add_op(request, *node, Shape{rows, columns}, device);
    result_ = &slots_.back();
    result_size_ = static_cast<int64_t>(size_of(operands_.back().dtype));
    choose_buffers(body);
  }

  int num_buffers() const { return num_buffers_; }

  size_t workspace_bytes() const {
    size_t bytes = 0;
    for (const auto& kernel : kernels_) bytes = std::max(bytes, kernel->workspace_bytes());
    return bytes;
  }

  void use(std::byte* buffers, size_t buffer_bytes, void* workspace) {
    for (const auto& [slot, buffer] : buffers_)
      *slot = buffers + static_cast<size_t>(buffer) * buffer_bytes;
    workspace_ = workspace;
  }

  void run(const std::vector<Operand>& inputs, const Operand& output, Block block) {
    for (size_t i = 0; i < inputs_.size(); ++i)
      *inputs_[i].slot = inputs[i].data<std::byte>() + block.row * inputs_[i].row_bytes +
                         block.column * inputs_[i].column_bytes;
    *result_ = output.data<std::byte>() + (block.row * walk_columns_ + block.column) * result_size_;
    for (const auto& kernel : kernels_) kernel->run();
  }

  /// Whether the result may lie on the memory of this input, whose elements are where the result's
  /// are: whoever reads it runs before the last op, or is the last op and allows it.
  bool can_share(const Graph& body, int input) const {
    const Node& last = *body.nodes().back();
    const Node* placeholder = body.placeholders()[static_cast<size_t>(input)];
    for (size_t i = 0; i < last.inputs().size(); ++i)
      if (last.inputs()[i].node() == placeholder &&
          !kernels_.back()->can_share(0, static_cast<int>(i)))
        return false;
    return true;
  }

 private:
  struct Input {
    void** slot;
    int64_t row_bytes, column_bytes;
  };

  void add_input(const Node& placeholder, const Operand& whole, const ops::FusedWalk::Input& moves,
                 int64_t rows, int64_t columns) {
    const auto size = static_cast<int64_t>(size_of(whole.dtype));
    void** slot = &slots_[static_cast<size_t>(placeholder.id())];
    const bool full = moves.by_row && moves.by_column;
    const Shape shape = full              ? Shape{rows, columns}
                        : moves.by_row    ? Shape{rows, 1}
                        : moves.by_column ? Shape{columns}
                                          : Shape{};
    inputs_.push_back(
        {slot, moves.by_row ? (full ? walk_columns_ : 1) * size : 0, moves.by_column ? size : 0});
    operands_[static_cast<size_t>(placeholder.id())] = {whole.dtype, shape, slot, nullptr};
  }

  void add_op(const KernelRequest& request, const Node& node, const Shape& block, Device& device) {
    const auto id = static_cast<size_t>(node.id());
    operands_[id] = {node.output_types()[0].dtype, block, &slots_[id], nullptr};
    std::vector<Operand> inputs;
    for (const Value& input : node.inputs())
      inputs.push_back(operands_[static_cast<size_t>(input.node()->id())]);
    kernels_.push_back(request.kernels->make({.node = node,
                                              .inputs = inputs,
                                              .outputs = std::span(&operands_[id], 1),
                                              .variables = {},
                                              .workspace = &workspace_,
                                              .step = request.step,
                                              .device = device}));
  }

  // In order of the ops: a result takes the buffer of an input that dies there, if its kernel may
  // work in place, or one that is free.
  void choose_buffers(const Graph& body) {
    const std::map<const Node*, size_t> last_uses = find_last_uses(body);
    std::map<const Node*, int> buffer_of;
    std::vector<int> free;
    size_t at = 0;
    for (const auto& node : body.nodes()) {
      if (node->op().source == Source::kInput) continue;
      std::map<const Node*, int> dying;
      for (const Value& input : node->inputs())
        if (buffer_of.count(input.node()) && last_uses.at(input.node()) == at)
          dying[input.node()] = buffer_of.at(input.node());
      if (node != body.nodes().back()) {
        const Node* shared = shared_input(*node, dying, *kernels_[at]);
        if (!shared && free.empty()) free.push_back(num_buffers_++);
        buffer_of[node.get()] = shared ? dying.at(shared) : free.back();
        if (!shared) free.pop_back();
        if (shared) dying.erase(shared);
        buffers_.push_back({&slots_[static_cast<size_t>(node->id())], buffer_of[node.get()]});
      }
      for (const auto& [dead, buffer] : dying) free.push_back(buffer);
      ++at;
    }
  }

  static std::map<const Node*, size_t> find_last_uses(const Graph& body) {
    std::map<const Node*, size_t> last_uses;
    size_t at = 0;
    for (const auto& node : body.nodes()) {
      if (node->op().source == Source::kInput) continue;
      for (const Value& input : node->inputs()) last_uses[input.node()] = at;
      ++at;
    }
    return last_uses;
  }

  static const Node* shared_input(const Node& node, const std::map<const Node*, int>& dying,
                                  const Kernel& kernel) {
    for (const auto& [dead, buffer] : dying) {
      bool allowed =
          size_of(dead->output_types()[0].dtype) == size_of(node.output_types()[0].dtype);
      for (size_t i = 0; i < node.inputs().size(); ++i)
        if (node.inputs()[i].node() == dead)
          allowed = allowed && kernel.can_share(0, static_cast<int>(i));
      if (allowed) return dead;
    }
    return nullptr;
  }

  int64_t walk_columns_;
  std::vector<void*> slots_;  ///< by node id of the body
  std::vector<Operand> operands_;
  std::vector<Input> inputs_;
  std::vector<std::unique_ptr<Kernel>> kernels_;
  std::vector<std::pair<void**, int>> buffers_;  ///< slots of what lies between, and their buffers
  int num_buffers_ = 0;
  void** result_ = nullptr;
  int64_t result_size_ = 0;
  void* workspace_ = nullptr;
};

class FusedElementwiseKernel final : public CpuKernel {
 public:
  FusedElementwiseKernel(const KernelRequest& request, ops::FusedWalk walk)
      : CpuKernel(request),
        body_(request.node.attrs().get<std::shared_ptr<const Graph>>("body")),
        walk_(std::move(walk)),
        inputs_(request.inputs.begin(), request.inputs.end()),
        block_elements_(kBlockBytes / widest(*body_)),
        blocks_(walk_, block_elements_),
        one_thread_(make_cpu_device(0, 1)) {
    if (blocks_.count() == 0) return;
    num_lanes_ = forks(request) ? std::min<int64_t>(threads(), blocks_.count()) : 1;
    const int64_t last = blocks_.count() - 1;
    for (int64_t lane = 0; lane < num_lanes_; ++lane) {
      whole_.push_back(program(request, 0));
      // The last block, or the last of every row, may be smaller.
      last_.push_back(is_whole(last) ? nullptr : program(request, last));
    }
    for (const auto& p : {whole_.front().get(), last_.front().get()}) {
      if (!p) continue;
      num_buffers_ = std::max(num_buffers_, p->num_buffers());
      op_workspace_ = std::max(op_workspace_, (p->workspace_bytes() + 63) / 64 * 64);
    }
  }

  void run() override {
    parallel_for(threads(), num_lanes_, 2, [this](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) run_lane(lane);
    });
  }

  size_t workspace_bytes() const override { return static_cast<size_t>(num_lanes_) * lane_bytes(); }

  bool can_share(int, int input) const override {
    const auto i = static_cast<size_t>(input);
    if (!walk_.inputs[i].by_row || !walk_.inputs[i].by_column || num_lanes_ == 0) return false;
    return size_of(in(input).dtype) == size_of(out(0).dtype) &&
           whole_.front()->can_share(*body_, input) &&
           (!last_.front() || last_.front()->can_share(*body_, input));
  }

 private:
  static int64_t widest(const Graph& body) {
    size_t bytes = 1;
    for (const auto& node : body.nodes())
      bytes = std::max(bytes, size_of(node->output_types()[0].dtype));
    return static_cast<int64_t>(bytes);
  }

  bool forks(const KernelRequest& request) const {
    int64_t bytes = static_cast<int64_t>(out(0).num_bytes());
    for (const Operand& input : request.inputs) bytes += static_cast<int64_t>(input.num_bytes());
    const auto ops = static_cast<int64_t>(body_->nodes().size() - body_->placeholders().size());
    return threads() > 1 &&
           (out(0).num_elements() * ops * kFlopsEach >= kForkFlops || bytes >= kForkBytes);
  }

  bool is_whole(int64_t block) const {
    return blocks_.rows_of(block) == blocks_.block_rows &&
           blocks_.columns_of(block) == blocks_.block_columns;
  }

  std::unique_ptr<BlockProgram> program(const KernelRequest& request, int64_t block) const {
    return std::make_unique<BlockProgram>(request, *body_, walk_, blocks_.rows_of(block),
                                          blocks_.columns_of(block), *one_thread_);
  }

  size_t buffer_bytes() const {
    return static_cast<size_t>(block_elements_ * widest(*body_)) + 64;  // not all at one cache set
  }
  size_t lane_bytes() const {
    return static_cast<size_t>(num_buffers_) * buffer_bytes() + op_workspace_;
  }

  void run_lane(int64_t lane) {
    std::byte* buffers = workspace() + static_cast<size_t>(lane) * lane_bytes();
    std::byte* op_workspace = buffers + static_cast<size_t>(num_buffers_) * buffer_bytes();
    const auto i = static_cast<size_t>(lane);
    whole_[i]->use(buffers, buffer_bytes(), op_workspace);
    if (last_[i]) last_[i]->use(buffers, buffer_bytes(), op_workspace);
    const int64_t end = blocks_.count() * (lane + 1) / num_lanes_;
    for (int64_t block = blocks_.count() * lane / num_lanes_; block < end; ++block) {
      BlockProgram& program = is_whole(block) ? *whole_[i] : *last_[i];
      program.run(inputs_, out(0), {blocks_.first_row(block), blocks_.first_column(block)});
    }
  }

  std::shared_ptr<const Graph> body_;
  ops::FusedWalk walk_;
  std::vector<Operand> inputs_;
  int64_t block_elements_;
  Blocks blocks_;
  std::unique_ptr<Device> one_thread_;
  int64_t num_lanes_ = 0;
  std::vector<std::unique_ptr<BlockProgram>> whole_, last_;  ///< one for each lane
  int num_buffers_ = 0;
  size_t op_workspace_ = 0;
};

std::unique_ptr<Kernel> make_fused(const KernelRequest& request) {
  std::vector<Shape> shapes;
  for (const Operand& input : request.inputs) shapes.push_back(input.shape);
  auto walk = ops::plan_fused_walk(request.outputs[0].shape, shapes);
  if (!walk) return nullptr;
  return std::make_unique<FusedElementwiseKernel>(request, std::move(*walk));
}

}  // namespace

void register_fused(KernelRegistry& registry) {
  registry.add("FusedElementwise", DeviceType::kCPU, "blocks", make_fused);
}

}  // namespace cohort::cpu::plain
