#include "cohort/kernels/cuda/indexing.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/pattern.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

// All but the address. `limit`: the rows of the table.
Indices indices_of(const KernelRequest& request, const Operand& operand, int64_t limit) {
  FaultLog& faults = device_of(request).faults();
  const std::string message = request.node.name() +
                              ": got index {got} at position {index}; want 0 to {limit} (the "
                              "table has " +
                              std::to_string(limit) + " rows)";
  return {operand.dtype, nullptr,         operand.num_elements(),
          limit,         faults.device(), faults.add_site(Code::kOutOfRange, message)};
}

Indices at(Indices indices, const Operand& operand) {
  indices.data = *operand.slot;
  return indices;
}

int64_t row_width(const Shape& table) { return table.num_elements(1, table.rank()); }

std::unique_ptr<Kernel> make_gather(const KernelRequest& request) {
  const Operand table = request.inputs[0];
  const Operand positions = request.inputs[1];
  return make_kernel([=, indices = indices_of(request, positions, table.shape.size(0)),
                      width = row_width(table.shape), y = request.outputs[0],
                      stream = stream_of(request)] {
    gather(static_cast<int>(size_of(y.dtype)), at(indices, positions), width, *table.slot, *y.slot,
           stream);
  });
}

std::unique_ptr<Kernel> make_slices_to_dense(const KernelRequest& request) {
  const Operand positions = request.inputs[0];
  const Operand y = request.outputs[0];
  if (y.dtype == DType::kBool) return nullptr;
  return make_kernel([=, indices = indices_of(request, positions, y.shape.size(0)),
                      width = row_width(y.shape), values = request.inputs[1],
                      stream = stream_of(request)] {
    zero_bytes(*y.slot, y.num_bytes(), stream);
    add_slices(y.dtype, at(indices, positions), width, *values.slot, *y.slot, stream);
  });
}

std::unique_ptr<Kernel> make_one_hot(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  const Operand positions = request.inputs[0];
  const Operand y = request.outputs[0];
  const Indices indices = {
      positions.dtype, nullptr, positions.num_elements(), attrs.get<int64_t>("depth"), nullptr, 0};
  return make_kernel([=, on = bit_pattern(y.dtype, attrs.get<double>("on_value")),
                      off = bit_pattern(y.dtype, attrs.get<double>("off_value")),
                      stream = stream_of(request)] {
    one_hot(static_cast<int>(size_of(y.dtype)), at(indices, positions), on, off, *y.slot, stream);
  });
}

std::unique_ptr<Kernel> make_argmax(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const int axis = x.shape.axis(request.node.attrs().get<int64_t>("axis"), "argmax");
  const int64_t size = x.shape.size(axis);
  if (x.dtype == DType::kBool) return nullptr;
  if (size == 0 && request.outputs[0].num_elements() > 0)
    throw InvalidArgument("{}: got shape {} with an empty axis {}; want at least one element",
                          request.node.name(), x.shape, axis);
  return make_kernel([=, outer = x.shape.num_elements(0, axis),
                      inner = x.shape.num_elements(axis + 1, x.shape.rank()),
                      y = request.outputs[0], stream = stream_of(request)] {
    argmax(x.dtype, outer, size, inner, *x.slot, y.data<int64_t>(), stream);
  });
}

}  // namespace

void register_indexing(KernelRegistry& kernels) {
  kernels.add("Gather", DeviceType::kGPU, "cuda", make_gather);
  kernels.add("SlicesToDense", DeviceType::kGPU, "cuda", make_slices_to_dense);
  kernels.add("OneHot", DeviceType::kGPU, "cuda", make_one_hot);
  kernels.add("ArgMax", DeviceType::kGPU, "cuda", make_argmax);
}

}  // namespace cohort::cuda
