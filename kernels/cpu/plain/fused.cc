// A fused node's kernel is made of the kernels of its ops, each made for one block of the walk
// (block_program.h).
#include "cohort/core/ops/fused.h"

#include <algorithm>

#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/rewrite.h"
#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/block_program.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

constexpr int64_t kFlopsEach = 8;  // of one op and element, about

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

/// A thread's programs, and where their inputs are.
struct Lane {
  std::vector<void*> inputs;
  std::unique_ptr<BlockProgram> whole;
  std::unique_ptr<BlockProgram>
      last;  ///< where the last block, or the last of every row, is smaller
};

class FusedElementwiseKernel final : public CpuKernel {
 public:
  FusedElementwiseKernel(const KernelRequest& request, ops::FusedWalk walk)
      : CpuKernel(request),
        body_(request.node.attrs().get<std::shared_ptr<const Graph>>("body")),
        walk_(std::move(walk)),
        inputs_(request.inputs.begin(), request.inputs.end()),
        block_elements_(kBlockBytes / widest_element(*body_)),
        blocks_(walk_, block_elements_),
        one_thread_(make_cpu_device(0, 1)) {
    if (blocks_.count() == 0) return;
    num_lanes_ = forks(request) ? std::min<int64_t>(threads(), blocks_.count()) : 1;
    const int64_t last = blocks_.count() - 1;
    lanes_.resize(static_cast<size_t>(num_lanes_));
    for (Lane& lane : lanes_) {
      lane.inputs.resize(inputs_.size());
      lane.whole = program(request, 0, lane);
      if (!is_whole(last)) lane.last = program(request, last, lane);
    }
    for (const auto& p : {lanes_.front().whole.get(), lanes_.front().last.get()}) {
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
           lanes_.front().whole->can_share(*body_, input) &&
           (!lanes_.front().last || lanes_.front().last->can_share(*body_, input));
  }

 private:
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

  std::unique_ptr<BlockProgram> program(const KernelRequest& request, int64_t block,
                                        Lane& lane) const {
    const int64_t rows = blocks_.rows_of(block), columns = blocks_.columns_of(block);
    BodyPlaces places{std::vector<Operand>(body_->nodes().size()), results_of(*body_)};
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto [by_row, by_column] = walk_.inputs[i];
      const Shape shape = by_row && by_column ? Shape{rows, columns}
                          : by_row            ? Shape{rows, 1}
                          : by_column         ? Shape{columns}
                                              : Shape{};
      places.operands[static_cast<size_t>(body_->placeholders()[i]->id())] = {
          inputs_[i].dtype, shape, &lane.inputs[i], nullptr};
    }
    return std::make_unique<BlockProgram>(request, *body_, std::move(places), Shape{rows, columns},
                                          *one_thread_);
  }

  size_t buffer_bytes() const {
    return static_cast<size_t>(block_elements_ * widest_element(*body_)) +
           64;  // not all at one cache set
  }
  size_t lane_bytes() const {
    return static_cast<size_t>(num_buffers_) * buffer_bytes() + op_workspace_;
  }

  void run_lane(int64_t number) {
    std::byte* buffers = workspace() + static_cast<size_t>(number) * lane_bytes();
    std::byte* op_workspace = buffers + static_cast<size_t>(num_buffers_) * buffer_bytes();
    Lane& lane = lanes_[static_cast<size_t>(number)];
    lane.whole->use(buffers, buffer_bytes(), op_workspace);
    if (lane.last) lane.last->use(buffers, buffer_bytes(), op_workspace);
    const int64_t end = blocks_.count() * (number + 1) / num_lanes_;
    for (int64_t block = blocks_.count() * number / num_lanes_; block < end; ++block)
      run_block(lane, block);
  }

  void run_block(Lane& lane, int64_t block) {
    BlockProgram& program = is_whole(block) ? *lane.whole : *lane.last;
    const int64_t row = blocks_.first_row(block), column = blocks_.first_column(block);
    for (size_t i = 0; i < inputs_.size(); ++i)
      lane.inputs[i] =
          inputs_[i].data<std::byte>() +
          offset(walk_.inputs[i], row, column) * static_cast<int64_t>(size_of(inputs_[i].dtype));
    program.set_result(
        0, out(0).data<std::byte>() +
               (row * walk_.columns + column) * static_cast<int64_t>(size_of(out(0).dtype)));
    program.run();
  }

  int64_t offset(const ops::FusedWalk::Input& moves, int64_t row, int64_t column) const {
    const int64_t row_elements = moves.by_column ? walk_.columns : 1;
    return (moves.by_row ? row * row_elements : 0) + (moves.by_column ? column : 0);
  }

  std::shared_ptr<const Graph> body_;
  ops::FusedWalk walk_;
  std::vector<Operand> inputs_;
  int64_t block_elements_;
  Blocks blocks_;
  std::unique_ptr<Device> one_thread_;
  int64_t num_lanes_ = 0;
  std::vector<Lane> lanes_;
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
