#include "cohort/kernels/cuda/softmax.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

struct Rows {
  int64_t rows, classes;
};
Rows rows_of(const Shape& x) {
  const int64_t classes = x.size(x.rank() - 1);
  return {classes > 0 ? x.num_elements() / classes : 0, classes};
}

std::unique_ptr<Kernel> make_softmax(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const bool logarithm = request.node.op_name() == "LogSoftmax";
  return make_kernel(
      [=, shape = rows_of(x.shape), y = request.outputs[0], stream = stream_of(request)] {
        softmax(x.dtype, logarithm, shape.rows, shape.classes, *x.slot, *y.slot, stream);
      },
      {.in_place = true});
}

std::unique_ptr<Kernel> make_sparse(const KernelRequest& request) {
  const Operand logits = request.inputs[0];
  const Operand labels = request.inputs[1];
  FaultLog& faults = device_of(request).faults();
  const int site = faults.add_site(
      Code::kInvalidArgument,
      request.node.name() + ": got label {got} in row {index}; want a class of 0 to {limit}");
  return make_kernel([=, shape = rows_of(logits.shape), loss = request.outputs[0],
                      backprop = request.outputs[1], fault = faults.device(),
                      stream = stream_of(request)] {
    sparse_cross_entropy(logits.dtype, labels.dtype, shape.rows, shape.classes, *logits.slot,
                         *labels.slot, *loss.slot, *backprop.slot, fault, site, stream);
  });
}

std::unique_ptr<Kernel> make_dense(const KernelRequest& request) {
  const Operand logits = request.inputs[0];
  return make_kernel([=, shape = rows_of(logits.shape), labels = request.inputs[1],
                      loss = request.outputs[0], backprop = request.outputs[1],
                      stream = stream_of(request)] {
    dense_cross_entropy(logits.dtype, shape.rows, shape.classes, *logits.slot, *labels.slot,
                        *loss.slot, *backprop.slot, stream);
  });
}

}  // namespace

void register_softmax(KernelRegistry& kernels) {
  kernels.add("Softmax", DeviceType::kGPU, "cuda", make_softmax);
  kernels.add("LogSoftmax", DeviceType::kGPU, "cuda", make_softmax);
  kernels.add("SparseSoftmaxCrossEntropy", DeviceType::kGPU, "cuda", make_sparse);
  kernels.add("SoftmaxCrossEntropy", DeviceType::kGPU, "cuda", make_dense);
}

}  // namespace cohort::cuda
