#include "cohort/kernels/cuda/reduce.h"

#include <algorithm>
#include <limits>

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/segments.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

constexpr int64_t kWantedBlocks = 264;  // two for each multiprocessor of the largest GPUs
constexpr int64_t kMinPerBlock = 1024;  // elements that are worth a block
constexpr int64_t kLanes = 32;

int64_t choose_splits(const Reduction& r) {
  const int64_t together = r.columns ? kLanes : 1;
  const int64_t blocks = (r.num_outputs() + together - 1) / together;
  if (blocks == 0 || blocks >= kWantedBlocks) return 1;
  const int64_t by_work = r.num_reduced() * together / kMinPerBlock;
  return std::clamp<int64_t>(std::min((kWantedBlocks + blocks - 1) / blocks, by_work), 1, 512);
}

Walk one_walk(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  const std::span<const int64_t> view = strides;
  return make_walk(sizes, {&view, 1});
}

Reduction make_reduction(const Shape& x, const std::vector<int64_t>& axes) {
  const std::vector<int64_t> sizes = x.numbers();
  const std::vector<int64_t> strides = row_major_strides(sizes);
  std::vector<int64_t> kept_sizes, kept_strides, reduced_sizes, reduced_strides;
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    const bool reduced =
        std::find(axes.begin(), axes.end(), static_cast<int64_t>(axis)) != axes.end();
    (reduced ? reduced_sizes : kept_sizes).push_back(sizes[axis]);
    (reduced ? reduced_strides : kept_strides).push_back(strides[axis]);
  }
  Reduction r = {one_walk(kept_sizes, kept_strides), one_walk(reduced_sizes, reduced_strides)};
  r.columns = r.kept.rank > 0 && r.kept.strides[0][r.kept.rank - 1] == 1;
  r.splits = choose_splits(r);
  return r;
}

struct Kind {
  std::string_view op;
  ReduceKind kind;
};
constexpr Kind kKinds[] = {{"ReduceSum", ReduceKind::kSum},   {"ReduceMean", ReduceKind::kMean},
                           {"ReduceMax", ReduceKind::kMax},   {"ReduceMin", ReduceKind::kMin},
                           {"ReduceProd", ReduceKind::kProd}, {"ReduceAny", ReduceKind::kMax},
                           {"ReduceAll", ReduceKind::kMin}};

double lowest(DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return std::numeric_limits<int8_t>::lowest();
    case DType::kI32:
      return std::numeric_limits<int32_t>::lowest();
    case DType::kU8:
    case DType::kBool:
      return 0;
    default:
      return -std::numeric_limits<double>::infinity();
  }
}

double highest(DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return std::numeric_limits<int8_t>::max();
    case DType::kI32:
      return std::numeric_limits<int32_t>::max();
    case DType::kU8:
      return std::numeric_limits<uint8_t>::max();
    case DType::kBool:
      return 1;
    default:
      return std::numeric_limits<double>::infinity();
  }
}

double value_of_nothing(ReduceKind kind, DType dtype) {
  switch (kind) {
    case ReduceKind::kProd:
      return 1;
    case ReduceKind::kMax:
      return lowest(dtype);
    case ReduceKind::kMin:
      return highest(dtype);
    default:
      return 0;
  }
}

/// A sum of all elements, as that of a variable's segment is made (segments.h).
std::unique_ptr<Kernel> make_sum_of_all(const KernelRequest& request) {
  const Operand x = request.inputs[0], y = request.outputs[0];
  const int64_t elements = x.num_elements();
  const int64_t lines = (elements + kLineElements - 1) / kLineElements;
  return make_kernel(
      [=, workspace = request.workspace, stream = stream_of(request)] {
        auto* sums = lines > 0 ? static_cast<double*>(*workspace) : nullptr;
        sum_lines(x.dtype, *x.slot, nullptr, lines, elements, sums, stream);
        SegmentScalars all = {.count = 1};
        all.end[0] = lines;
        all.scalar[0] = *y.slot;
        total_lines(y.dtype, sums, all, stream);
      },
      {.workspace_bytes = static_cast<size_t>(lines) * sizeof(double)});
}

std::unique_ptr<Kernel> make_reduce(const KernelRequest& request) {
  const Kind* found = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& each) {
    return each.op == request.node.op_name();
  });
  const ReduceKind kind = found->kind;
  const Operand x = request.inputs[0];
  if (kind == ReduceKind::kMean && !is_floating(x.dtype)) return nullptr;
  if (kind == ReduceKind::kSum && is_floating(x.dtype) && request.outputs[0].num_elements() == 1 &&
      x.num_elements() > 1)
    return make_sum_of_all(request);
  const Reduction r =
      make_reduction(x.shape, request.node.attrs().get<std::vector<int64_t>>("axis"));
  const double empty = value_of_nothing(kind, x.dtype);
  return make_kernel(
      [=, y = request.outputs[0], workspace = request.workspace, stream = stream_of(request)] {
        reduce(kind, x.dtype, r, empty, *x.slot, *y.slot, r.splits > 1 ? *workspace : nullptr,
               stream);
      },
      {.workspace_bytes = r.workspace_bytes(kReducedBytes)});
}

}  // namespace

Reduction reduce_rows(int64_t rows, int64_t columns) {
  return make_reduction(Shape{rows, columns}, {0});
}

void register_reduce(KernelRegistry& kernels) {
  for (const Kind& each : kKinds) kernels.add(each.op, DeviceType::kGPU, "cuda", make_reduce);
}

}  // namespace cohort::cuda
