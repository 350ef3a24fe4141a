// The body of an update on blocks (block_program.h). Variables that lie side by side are one array,
// cut into blocks over the team. What is left of each array, less than a block, is done by one
// thread in pieces of powers of two, so that few programs serve every length.
#include <algorithm>

#include "cohort/core/ops/update_body.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/kernels/cpu/body_update.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/block_program.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

/// Of one value: a few share the second-level cache. Bodies are long, and the calls of their ops
/// cost more than that cache does (benchmarks/update_bodies.cc).
constexpr int64_t kUpdateBlockBytes = 16 << 10;

class ElementwiseUpdateKernel final : public BodyUpdateKernel {
 public:
  explicit ElementwiseUpdateKernel(const KernelRequest& request)
      : BodyUpdateKernel(request),
        block_(kUpdateBlockBytes / widest_element(body())),
        one_thread_(make_cpu_device(0, 1)) {
    lanes_.resize(num_lanes(static_cast<int64_t>(body().nodes().size()), block_));
    for (size_t i = 0; i < lanes_.size(); ++i) make_lane(request, i, i == 0 ? 1 : block_);
    for (const auto& program : lanes_.front().programs) {
      num_buffers_ = std::max(num_buffers_, program->num_buffers());
      op_workspace_ = std::max(op_workspace_, (program->workspace_bytes() + 63) / 64 * 64);
    }
  }

  size_t workspace_bytes() const override { return lanes_.size() * lane_bytes(); }

  void run() override {
    run_lanes(lanes_, block_,
              [this](BlockLane& lane, const Piece& piece, int64_t first, int64_t last) {
                for (int64_t block = first; block < last; ++block)
                  run_block(lane, piece, block * block_, 0);
                if (lane.number == 0) run_rest(lane, piece);
              });
  }

 private:
  struct BlockLane : Lane {
    size_t number = 0;
    std::vector<void*> arrays;  ///< gradient, parameter, slots: where the block is
    std::vector<std::unique_ptr<BlockProgram>> programs;  ///< for blocks, then for halves of it, …
  };

  void make_lane(const KernelRequest& request, size_t number, int64_t smallest) {
    BlockLane& lane = lanes_[number];
    lane.number = number;
    lane.numbers =
        std::make_unique<BodyNumbers>(request, body(), num_arrays(), decays(), *one_thread_);
    lane.arrays.resize(num_arrays());
    BodyPlaces places{lane.numbers->operands(), body().nodes().back()->inputs()};
    places.operands.back().slot = lane.arrays.data();  // the tuple of results: no op
    for (int64_t size = block_; size >= smallest; size /= 2) {
      for (size_t i = 0; i < num_arrays(); ++i) {
        const Node* placeholder = body().placeholders()[i];
        places.operands[static_cast<size_t>(placeholder->id())] = {
            placeholder->output_types()[0].dtype, Shape{size}, &lane.arrays[i], nullptr};
        if (i > 0 && size == block_) places.overwritten.push_back(placeholder);
      }
      lane.programs.push_back(
          std::make_unique<BlockProgram>(request, body(), places, Shape{size}, *one_thread_));
    }
  }

  size_t buffer_bytes() const { return kUpdateBlockBytes + 64; }  // not all at one cache set
  size_t lane_bytes() const {
    return static_cast<size_t>(num_buffers_) * buffer_bytes() + op_workspace_;
  }

  void run_rest(BlockLane& lane, const Piece& piece) {
    int64_t at = piece.count / block_ * block_;
    for (size_t half = 1; half < lane.programs.size(); ++half) {
      const int64_t size = block_ >> half;
      if (piece.count - at < size) continue;
      run_block(lane, piece, at, half);
      at += size;
    }
  }

  void run_block(BlockLane& lane, const Piece& piece, int64_t at, size_t half) {
    BlockProgram& program = *lane.programs[half];
    std::byte* buffers = workspace() + lane.number * lane_bytes();
    program.use(buffers, buffer_bytes(),
                buffers + static_cast<size_t>(num_buffers_) * buffer_bytes());
    for (size_t k = 0; k < num_arrays(); ++k) {
      lane.arrays[k] = begin_of(k, piece.first) + at * static_cast<int64_t>(element_bytes());
      if (k > 0) program.set_result(k - 1, lane.arrays[k]);
    }
    program.run();
  }

  int64_t block_;  ///< elements, a power of two
  std::unique_ptr<Device> one_thread_;
  std::vector<BlockLane> lanes_;
  int num_buffers_ = 0;
  size_t op_workspace_ = 0;
};

std::unique_ptr<Kernel> make_elementwise_update(const KernelRequest& request) {
  return std::make_unique<ElementwiseUpdateKernel>(request);
}

}  // namespace

void register_elementwise_update(KernelRegistry& registry) {
  registry.add("ElementwiseUpdate", DeviceType::kCPU, "blocks", make_elementwise_update);
}

}  // namespace cohort::cpu::plain
