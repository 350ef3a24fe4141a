#include "cohort/kernels/cuda/slices.h"

#include <algorithm>

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

int64_t width_of(const Operand& values) {
  return values.shape.num_elements(1, values.shape.rank());
}

std::unique_ptr<Kernel> make_pad_slices(const KernelRequest& request) {
  return make_kernel([indices = request.inputs[0], values = request.inputs[1],
                      padded_indices = request.outputs[0], padded_values = request.outputs[1],
                      stream = stream_of(request)] {
    pad_slices(static_cast<int>(size_of(values.dtype)), indices.dtype, *indices.slot, *values.slot,
               indices.num_elements(), width_of(values), padded_indices.num_elements(),
               padded_indices.data<int32_t>(), *padded_values.slot, stream);
  });
}

std::unique_ptr<Kernel> make_combine_slices(const KernelRequest& request) {
  const int64_t count = request.inputs[0].num_elements();
  const int64_t part_rows = request.node.attrs().get<int64_t>("part_rows");
  return make_kernel(
      [=, rows = part_rows > 0 ? part_rows : std::max<int64_t>(1, count),
       indices = request.inputs[0], values = request.inputs[1],
       combined_indices = request.outputs[0], combined_values = request.outputs[1],
       workspace = request.workspace, stream = stream_of(request)] {
        combine_slices(values.dtype, indices.data<int32_t>(), *values.slot, count, width_of(values),
                       rows, combined_indices.data<int32_t>(), *combined_values.slot, *workspace,
                       stream);
      },
      {.workspace_bytes = combine_slices_workspace(count)});
}

}  // namespace

void register_slices(KernelRegistry& kernels) {
  kernels.add("PadSlices", DeviceType::kGPU, "cuda", make_pad_slices);
  kernels.add("CombineSlices", DeviceType::kGPU, "cuda", make_combine_slices);
}

}  // namespace cohort::cuda
