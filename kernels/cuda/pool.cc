#include "cohort/kernels/cuda/pool.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/windows.h"

namespace cohort::cuda {
namespace {

std::unique_ptr<Kernel> make_max_pool(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  return make_kernel([=, w = pool_window(request.node.attrs(), x.shape, y.shape),
                      where = request.outputs[1], stream = stream_of(request)] {
    max_pool(x.dtype, w, *x.slot, *y.slot, where.data<uint8_t>(), stream);
  });
}

std::unique_ptr<Kernel> make_max_pool_grad(const KernelRequest& request) {
  const Operand dy = request.inputs[0];
  const Operand dx = request.outputs[0];
  return make_kernel([=, w = pool_window(request.node.attrs(), dx.shape, dy.shape),
                      where = request.inputs[1], stream = stream_of(request)] {
    max_pool_grad(dy.dtype, w, *dy.slot, where.data<uint8_t>(), *dx.slot, stream);
  });
}

std::unique_ptr<Kernel> make_avg_pool(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  return make_kernel(
      [=, w = pool_window(request.node.attrs(), x.shape, y.shape), stream = stream_of(request)] {
        avg_pool(x.dtype, w, *x.slot, *y.slot, stream);
      });
}

std::unique_ptr<Kernel> make_avg_pool_grad(const KernelRequest& request) {
  const Operand dy = request.inputs[0];
  const Operand dx = request.outputs[0];
  return make_kernel(
      [=, w = pool_window(request.node.attrs(), dx.shape, dy.shape), stream = stream_of(request)] {
        avg_pool_grad(dy.dtype, w, *dy.slot, *dx.slot, stream);
      });
}

}  // namespace

void register_pool(KernelRegistry& kernels) {
  kernels.add("MaxPool2D", DeviceType::kGPU, "cuda", make_max_pool);
  kernels.add("MaxPool2DGrad", DeviceType::kGPU, "cuda", make_max_pool_grad);
  kernels.add("AvgPool2D", DeviceType::kGPU, "cuda", make_avg_pool);
  kernels.add("AvgPool2DGrad", DeviceType::kGPU, "cuda", make_avg_pool_grad);
}

}  // namespace cohort::cuda
