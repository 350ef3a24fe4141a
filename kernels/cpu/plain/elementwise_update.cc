// The body of an update on blocks (block_program.h). Variables that lie side by side are one array,
// cut into blocks over the team. What is left of each array, less than a block, is done by one
// thread in pieces of powers of two, so that few programs serve every length.
#include <algorithm>
#include <array>

#include "cohort/core/ops/update_body.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/block_program.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/update_plan.h"

namespace cohort::cpu::plain {
namespace {

/// Of one value: a few share the second-level cache. Bodies are long, and the calls of their ops
/// cost more than that cache does (benchmarks/update_bodies.cc).
constexpr int64_t kUpdateBlockBytes = 16 << 10;

/// The part of a body that is the same for all elements, for one thread: its numbers, and what its
/// ops make of these alone.
class BodyNumbers {
 public:
  BodyNumbers(const KernelRequest& request, const Graph& body, size_t num_arrays, bool decays,
              Device& device)
      : operands_(body.nodes().size()), slots_(operands_.size()), memory_(operands_.size()) {
    const auto& placeholders = body.placeholders();
    if (decays) weight_decay_ = &slots_[id_of(*placeholders[num_arrays])];
    for (size_t i = num_arrays + (decays ? 1 : 0); i < placeholders.size(); ++i)
      given_.push_back(&slots_[id_of(*placeholders[i])]);
    std::vector<bool> walks(operands_.size(), false);
    for (size_t i = 0; i < num_arrays; ++i) walks[id_of(*placeholders[i])] = true;
    for (const auto& node : body.nodes()) {
      const size_t id = id_of(*node);
      for (const Value& input : node->inputs())
        walks[id] = walks[id] || walks[id_of(*input.node())];
      if (!walks[id]) add(request, *node, device);
    }
  }
  BodyNumbers(const BodyNumbers&) = delete;
  BodyNumbers& operator=(const BodyNumbers&) = delete;

  /// By node id; of what depends on elements nothing.
  const std::vector<Operand>& operands() const { return operands_; }

  void compute(const double* numbers, double& weight_decay) {
    for (size_t i = 0; i < given_.size(); ++i) *given_[i] = const_cast<double*>(numbers + i);
    if (weight_decay_) *weight_decay_ = &weight_decay;
    for (const auto& kernel : kernels_) kernel->run();
  }

 private:
  static size_t id_of(const Node& node) { return static_cast<size_t>(node.id()); }

  void add(const KernelRequest& request, const Node& node, Device& device) {
    const size_t id = id_of(node);
    operands_[id] = {node.output_types()[0].dtype, {}, &slots_[id], nullptr};
    if (node.op().source == Source::kInput) return;
    if (node.op().source == Source::kConstant) {
      slots_[id] = const_cast<void*>(node.attrs().get<Tensor>("value").raw());
      return;
    }
    slots_[id] = &memory_[id];
    std::vector<Operand> inputs;
    for (const Value& input : node.inputs()) inputs.push_back(operands_[id_of(*input.node())]);
    kernels_.push_back(request.kernels->make({.node = node,
                                              .inputs = inputs,
                                              .outputs = std::span(&operands_[id], 1),
                                              .variables = {},
                                              .workspace = request.workspace,
                                              .step = request.step,
                                              .device = device}));
  }

  std::vector<Operand> operands_;
  std::vector<void*> slots_;
  std::vector<double> memory_;  ///< of one number each
  std::vector<void**> given_;
  void** weight_decay_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

/// A thread's share of the work.
struct UpdateLane {
  std::unique_ptr<BodyNumbers> numbers;
  std::vector<void*> arrays;  ///< gradient, parameter, slots: where the block is
  std::vector<std::unique_ptr<BlockProgram>> programs;  ///< for blocks, then for halves of it, …
  double weight_decay = 0;
};

class ElementwiseUpdateKernel final : public UpdateKernel {
 public:
  explicit ElementwiseUpdateKernel(const KernelRequest& request)
      : UpdateKernel(request),
        body_(request.node.attrs().get<std::shared_ptr<const Graph>>("body")),
        decays_(!request.node.attrs().get<std::vector<double>>("weight_decay").empty()),
        num_arrays_(1 + request.variables.size() / static_cast<size_t>(count())),
        element_bytes_(size_of(request.variables[0].dtype)),
        block_(kUpdateBlockBytes / widest_element(*body_)),
        one_thread_(make_cpu_device(0, 1)) {
    int64_t elements = 0;
    for (int i = 0; i < count(); ++i) elements += parameter(i).num_elements();
    const auto ops = static_cast<int64_t>(body_->nodes().size());
    const bool forks =
        elements >= grain_for(ops, static_cast<int64_t>(2 * num_arrays_ * element_bytes_));
    lanes_.resize(
        forks ? static_cast<size_t>(std::clamp<int64_t>(elements / block_, 1, int64_t{threads()}))
              : 1);
    for (size_t i = 0; i < lanes_.size(); ++i) make_lane(request, lanes_[i], i == 0 ? 1 : block_);
    for (const auto& program : lanes_.front().programs) {
      num_buffers_ = std::max(num_buffers_, program->num_buffers());
      op_workspace_ = std::max(op_workspace_, (program->workspace_bytes() + 63) / 64 * 64);
    }
    pieces_.reserve(static_cast<size_t>(count()));
  }

  size_t workspace_bytes() const override { return lanes_.size() * lane_bytes(); }

  void run() override {
    if (!apply()) return;
    find_pieces();
    const auto num_lanes = static_cast<int64_t>(lanes_.size());
    parallel_for(threads(), num_lanes, 2, [this](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) run_lane(static_cast<size_t>(lane));
    });
  }

 private:
  /// Variables side by side.
  struct Piece {
    int first;
    int64_t count;
  };

  void make_lane(const KernelRequest& request, UpdateLane& lane, int64_t smallest) {
    lane.numbers =
        std::make_unique<BodyNumbers>(request, *body_, num_arrays_, decays_, *one_thread_);
    lane.arrays.resize(num_arrays_);
    BodyPlaces places{lane.numbers->operands(), body_->nodes().back()->inputs()};
    places.operands.back().slot = lane.arrays.data();  // the tuple of results: no op
    for (int64_t size = block_; size >= smallest; size /= 2) {
      for (size_t i = 0; i < num_arrays_; ++i) {
        const Node* placeholder = body_->placeholders()[i];
        places.operands[static_cast<size_t>(placeholder->id())] = {
            placeholder->output_types()[0].dtype, Shape{size}, &lane.arrays[i], nullptr};
        if (i > 0 && size == block_) places.overwritten.push_back(placeholder);
      }
      lane.programs.push_back(
          std::make_unique<BlockProgram>(request, *body_, places, Shape{size}, *one_thread_));
    }
  }

  const Operand& array(size_t number, int i) const {
    return number == 0   ? gradient(i)
           : number == 1 ? parameter(i)
                         : slot(static_cast<int>(number) - 2, i);
  }

  void find_pieces() {
    pieces_.clear();
    for (int i = 0; i < count(); ++i) {
      if (!pieces_.empty() && follows(pieces_.back(), i))
        pieces_.back().count += parameter(i).num_elements();
      else
        pieces_.push_back({i, parameter(i).num_elements()});
    }
  }
  bool follows(const Piece& piece, int next) const {
    if (decay(piece.first) != decay(next)) return false;
    for (size_t k = 0; k < num_arrays_; ++k)
      if (begin_of(k, piece.first) + piece.count * static_cast<int64_t>(element_bytes_) !=
          begin_of(k, next))
        return false;
    return true;
  }
  std::byte* begin_of(size_t number, int i) const { return array(number, i).data<std::byte>(); }

  size_t buffer_bytes() const { return kUpdateBlockBytes + 64; }  // not all at one cache set
  size_t lane_bytes() const {
    return static_cast<size_t>(num_buffers_) * buffer_bytes() + op_workspace_;
  }

  void run_lane(size_t number) {
    UpdateLane& lane = lanes_[number];
    int64_t blocks = 0;
    for (const Piece& piece : pieces_) blocks += piece.count / block_;
    const auto at = static_cast<int64_t>(number), num_lanes = static_cast<int64_t>(lanes_.size());
    const int64_t begin = blocks * at / num_lanes, end = blocks * (at + 1) / num_lanes;
    int64_t before = 0;  // blocks of earlier pieces
    for (const Piece& piece : pieces_) {
      const int64_t whole = piece.count / block_;
      const int64_t first = std::max(begin - before, int64_t{0});
      const int64_t last = std::min(end - before, whole);
      before += whole;
      if (first >= last && number > 0) continue;
      lane.weight_decay = decay(piece.first);
      lane.numbers->compute(in(num_inputs() - 2).data<double>(), lane.weight_decay);
      for (int64_t block = first; block < last; ++block)
        run_block(number, piece, block * block_, 0);
      if (number == 0) run_rest(piece);
    }
  }

  void run_rest(const Piece& piece) {
    int64_t at = piece.count / block_ * block_;
    for (size_t half = 1; half < lanes_[0].programs.size(); ++half) {
      const int64_t size = block_ >> half;
      if (piece.count - at < size) continue;
      run_block(0, piece, at, half);
      at += size;
    }
  }

  void run_block(size_t number, const Piece& piece, int64_t at, size_t half) {
    UpdateLane& lane = lanes_[number];
    BlockProgram& program = *lane.programs[half];
    std::byte* buffers = workspace() + number * lane_bytes();
    program.use(buffers, buffer_bytes(),
                buffers + static_cast<size_t>(num_buffers_) * buffer_bytes());
    for (size_t k = 0; k < num_arrays_; ++k) {
      lane.arrays[k] = begin_of(k, piece.first) + at * static_cast<int64_t>(element_bytes_);
      if (k > 0) program.set_result(k - 1, lane.arrays[k]);
    }
    program.run();
  }

  std::shared_ptr<const Graph> body_;
  bool decays_;
  size_t num_arrays_;  ///< gradient, parameter, slots
  size_t element_bytes_;
  int64_t block_;  ///< elements, a power of two
  std::unique_ptr<Device> one_thread_;
  std::vector<UpdateLane> lanes_;
  std::vector<Piece> pieces_;
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
