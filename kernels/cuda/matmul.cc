#include <algorithm>
#include <optional>
#include <vector>

#include "cohort/kernels/cuda/bias.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/matmul_plan.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

constexpr int kWideAlignment = 16;

// The stacks of matrices of y, a and b: arrays 0, 1 and 2, in elements. The innermost axis is one
// call of the library; the others are walked by the host.
Walk stack_walk(const Shape& y, const Shape& a, const Shape& b) {
  const std::vector<int64_t> sizes = y.slice(0, y.rank() - 2).numbers();
  const auto strides_of = [&](const Shape& shape) {
    const std::vector<int64_t> own = row_major_strides(shape.numbers());
    std::vector<int64_t> strides(sizes.size(), 0);
    const size_t stacked = own.size() - 2;
    for (size_t axis = 0; axis < stacked; ++axis)
      if (shape.size(static_cast<int>(axis)) != 1)
        strides[sizes.size() - stacked + axis] = own[axis];
    return strides;
  };
  const std::vector<int64_t> each[] = {strides_of(y), strides_of(a), strides_of(b)};
  const std::vector<std::span<const int64_t>> views(std::begin(each), std::end(each));
  return make_walk(sizes, views);
}

struct Offsets {
  int64_t y, a, b;
};

// Where each call of the library begins.
std::vector<Offsets> call_offsets(const Walk& walk) {
  std::vector<Offsets> offsets = {{0, 0, 0}};
  for (int axis = 0; axis < walk.rank - 1; ++axis) {
    std::vector<Offsets> next;
    for (const Offsets& at : offsets)
      for (int64_t i = 0; i < walk.sizes[axis]; ++i)
        next.push_back({at.y + i * walk.strides[0][axis], at.a + i * walk.strides[1][axis],
                        at.b + i * walk.strides[2][axis]});
    offsets = std::move(next);
  }
  return offsets;
}

MatMulCase case_of(const KernelRequest& request, const Walk& walk) {
  const Attrs& attrs = request.node.attrs();
  const Shape& a = request.inputs[0].shape;
  const Shape& y = request.outputs[0].shape;
  MatMulCase c = {};
  c.dtype = request.outputs[0].dtype;
  c.transpose_a = attrs.get_or("transpose_a", false);
  c.transpose_b = attrs.get_or("transpose_b", false);
  c.m = y.size(y.rank() - 2);
  c.n = y.size(y.rank() - 1);
  c.k = a.size(c.transpose_a ? a.rank() - 2 : a.rank() - 1);
  const int last = walk.rank - 1;
  c.count = walk.rank == 0 ? 1 : walk.sizes[last];
  c.stride_y = walk.rank == 0 ? 0 : walk.strides[0][last];
  c.stride_a = walk.rank == 0 ? 0 : walk.strides[1][last];
  c.stride_b = walk.rank == 0 ? 0 : walk.strides[2][last];
  return c;
}

bool is_aligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % kWideAlignment == 0;
}

// The executor's addresses are multiples of 64 bytes; those of matrices within a stack need not be.
// So there is a plan for 16-byte addresses and, where the library has one, a plan for any.
class MatMulKernel final : public Kernel {
 public:
  struct Plans {
    std::optional<MatMulPlan> wide, narrow;
  };

  MatMulKernel(const KernelRequest& request, MatMulCase c, std::vector<Offsets> calls,
               Epilogue epilogue, bool fused, Plans plans)
      : inputs_(request.inputs.begin(), request.inputs.end()),
        y_(request.outputs[0]),
        workspace_(request.workspace),
        stream_(stream_of(request)),
        case_(c),
        calls_(std::move(calls)),
        epilogue_(epilogue),
        fused_(fused),
        plans_(std::move(plans)) {}

  size_t workspace_bytes() const override {
    return std::max(plans_.wide->workspace_bytes(),
                    plans_.narrow ? plans_.narrow->workspace_bytes() : 0);
  }

  void run() override {
    const int64_t bytes = static_cast<int64_t>(size_of(y_.dtype));
    const void* bias = inputs_.size() > 2 ? *inputs_[2].slot : nullptr;
    for (const Offsets& at : calls_) {
      const std::byte* a = inputs_[0].data<std::byte>() + at.a * bytes;
      const std::byte* b = inputs_[1].data<std::byte>() + at.b * bytes;
      std::byte* y = y_.data<std::byte>() + at.y * bytes;
      const bool wide = is_aligned(a) && is_aligned(b) && is_aligned(y) && is_aligned(bias);
      if (!wide && !plans_.narrow)
        throw Unimplemented(
            "matmul: got an address that is no multiple of {} bytes; want one, "
            "since cuBLASLt has no way for others here",
            kWideAlignment);
      MatMulPlan& plan = wide ? *plans_.wide : *plans_.narrow;
      plan.run(a, b, bias, y, plan.workspace_bytes() > 0 ? *workspace_ : nullptr);
    }
    if (epilogue_ != Epilogue::kNone && !fused_)
      add_bias(y_.dtype, y_.num_elements() / case_.n, case_.n, bias,
               epilogue_ == Epilogue::kBiasRelu, *y_.slot, stream_);
  }

 private:
  std::vector<Operand> inputs_;
  Operand y_;
  void* const* workspace_;
  cudaStream_t stream_;
  MatMulCase case_;
  std::vector<Offsets> calls_;
  Epilogue epilogue_;
  bool fused_;  // the library adds the bias
  Plans plans_;
};

// 0 products: y is the bias, or 0.
std::unique_ptr<Kernel> make_empty_sum(const KernelRequest& request, Epilogue epilogue) {
  return make_kernel([y = request.outputs[0], epilogue,
                      bias = request.inputs[epilogue == Epilogue::kNone ? 0 : 2],
                      stream = stream_of(request)] {
    zero_bytes(*y.slot, y.num_bytes(), stream);
    const int64_t n = y.shape.size(y.shape.rank() - 1);
    if (epilogue != Epilogue::kNone && n > 0)
      add_bias(y.dtype, y.num_elements() / n, n, *bias.slot, epilogue == Epilogue::kBiasRelu,
               *y.slot, stream);
  });
}

MatMulKernel::Plans make_plans(const KernelRequest& request, MatMulCase c, Epilogue epilogue) {
  c.epilogue = epilogue;
  c.alignment = kWideAlignment;
  MatMulKernel::Plans plans;
  plans.wide = MatMulPlan::make(device_of(request), c);
  c.alignment = static_cast<int>(size_of(c.dtype));
  plans.narrow = MatMulPlan::make(device_of(request), c);
  return plans;
}

Epilogue epilogue_of(const KernelRequest& request) {
  if (request.node.op_name() == "MatMul") return Epilogue::kNone;
  const auto activation = request.node.attrs().get<std::string>("activation");
  return activation == "relu" ? Epilogue::kBiasRelu : Epilogue::kBias;
}

std::unique_ptr<Kernel> make_matmul(const KernelRequest& request) {
  const Operand& y = request.outputs[0];
  if (!is_floating(y.dtype)) return nullptr;
  const Epilogue epilogue = epilogue_of(request);
  if (epilogue != Epilogue::kNone) {
    const auto activation = request.node.attrs().get<std::string>("activation");
    if (activation != "" && activation != "relu") return nullptr;
  }
  const Walk walk = stack_walk(y.shape, request.inputs[0].shape, request.inputs[1].shape);
  const MatMulCase c = case_of(request, walk);
  if (c.k == 0 || y.num_elements() == 0) return make_empty_sum(request, epilogue);
  MatMulKernel::Plans plans = make_plans(request, c, epilogue);
  bool fused = true;
  if (!plans.wide && epilogue != Epilogue::kNone) {
    plans = make_plans(request, c, Epilogue::kNone);
    fused = false;
  }
  if (!plans.wide) return nullptr;
  return std::make_unique<MatMulKernel>(request, c, call_offsets(walk), epilogue, fused,
                                        std::move(plans));
}

}  // namespace

void register_matmul(KernelRegistry& kernels) {
  kernels.add("MatMul", DeviceType::kGPU, "cublaslt", make_matmul);
  kernels.add("FusedMatMul", DeviceType::kGPU, "cublaslt", make_matmul);
}

}  // namespace cohort::cuda
