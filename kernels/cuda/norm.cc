#include "cohort/kernels/cuda/norm.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

BatchNormShape shape_of(const KernelRequest& request, const Operand& x, const Operand& gamma) {
  const int64_t channels = gamma.num_elements();
  const int64_t rows = channels > 0 ? x.num_elements() / channels : 0;
  return {x.dtype,
          gamma.dtype,
          rows,
          channels,
          request.node.attrs().get<double>("epsilon"),
          reduce_rows(rows, channels)};
}

bool takes(const BatchNormShape& shape) {
  const bool half = shape.dtype == DType::kF16 || shape.dtype == DType::kBF16;
  return shape.dtype == shape.parameters || (half && shape.parameters == DType::kF32);
}

std::unique_ptr<Kernel> make_batch_norm(const KernelRequest& request) {
  const BatchNormShape shape = shape_of(request, request.inputs[0], request.inputs[1]);
  if (!takes(shape)) return nullptr;
  const auto in = request.inputs;
  const auto out = request.outputs;
  return make_kernel(
      [shape, x = in[0], gamma = in[1], beta = in[2], y = out[0], mean = out[1], variance = out[2],
       workspace = request.workspace, stream = stream_of(request)] {
        batch_norm(shape, *x.slot, *gamma.slot, *beta.slot, *y.slot, *mean.slot, *variance.slot,
                   shape.reduction.splits > 1 ? *workspace : nullptr, stream);
      },
      {.workspace_bytes = shape.reduction.workspace_bytes(kNormBytes)});
}

std::unique_ptr<Kernel> make_batch_norm_grad(const KernelRequest& request) {
  const BatchNormShape shape = shape_of(request, request.inputs[1], request.inputs[2]);
  if (!takes(shape)) return nullptr;
  const auto in = request.inputs;
  const auto out = request.outputs;
  return make_kernel(
      [shape, dy = in[0], x = in[1], gamma = in[2], mean = in[3], variance = in[4], dx = out[0],
       dgamma = out[1], dbeta = out[2], workspace = request.workspace,
       stream = stream_of(request)] {
        batch_norm_grad(shape, *dy.slot, *x.slot, *gamma.slot, *mean.slot, *variance.slot, *dx.slot,
                        *dgamma.slot, *dbeta.slot,
                        shape.reduction.splits > 1 ? *workspace : nullptr, stream);
      },
      {.workspace_bytes = shape.reduction.workspace_bytes(kNormBytes)});
}

}  // namespace

void register_norm(KernelRegistry& kernels) {
  kernels.add("BatchNorm", DeviceType::kGPU, "cuda", make_batch_norm);
  kernels.add("BatchNormGrad", DeviceType::kGPU, "cuda", make_batch_norm_grad);
}

}  // namespace cohort::cuda
