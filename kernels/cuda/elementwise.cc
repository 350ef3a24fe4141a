#include "cohort/kernels/cuda/elementwise.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/elementwise_names.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

template <class Op>
Op op_of(NamedOps<Op> ops, const KernelRequest& request) {
  return find_op(ops, request.node.op_name()).value();
}

bool is_number(DType dtype) { return is_floating(dtype) || is_integer(dtype); }

std::unique_ptr<Kernel> make_unary(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const UnaryOp op = op_of(unary_ops(), request);
  if (!(op <= UnaryOp::kRelu ? is_number(x.dtype) : is_floating(x.dtype))) return nullptr;
  return make_kernel(
      [=, y = request.outputs[0], stream = stream_of(request)] {
        unary(op, x.dtype, *x.slot, *y.slot, x.num_elements(), stream);
      },
      {.in_place = true});
}

std::unique_ptr<Kernel> make_is_finite(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  if (!is_floating(x.dtype)) return nullptr;
  return make_kernel([=, y = request.outputs[0], stream = stream_of(request)] {
    is_finite(x.dtype, *x.slot, y.data<bool>(), x.num_elements(), stream);
  });
}

std::unique_ptr<Kernel> make_logical_not(const KernelRequest& request) {
  return make_kernel(
      [x = request.inputs[0], y = request.outputs[0], stream = stream_of(request)] {
        logical_not(x.data<bool>(), y.data<bool>(), x.num_elements(), stream);
      },
      {.in_place = true});
}

DivisionFault division_fault(const KernelRequest& request) {
  FaultLog& faults = device_of(request).faults();
  const std::string message =
      request.node.name() + ": got a divisor 0 for element {index} of the result; want none";
  return {faults.device(), faults.add_site(Code::kInvalidArgument, message)};
}

// In place only where both inputs are walked as the output is: a repeated element is read late.
std::unique_ptr<Kernel> make_binary(const KernelRequest& request) {
  const Operand a = request.inputs[0];
  const BinaryOp op = op_of(binary_ops(), request);
  const bool floating_only = op == BinaryOp::kSigmoidGrad || op == BinaryOp::kTanhGrad;
  if (!(floating_only ? is_floating(a.dtype) : is_number(a.dtype))) return nullptr;
  const Walk walk = broadcast_walk(request.outputs[0].shape, request.inputs);
  const DivisionFault division = is_integer(a.dtype) ? division_fault(request) : DivisionFault{};
  return make_kernel(
      [=, b = request.inputs[1], y = request.outputs[0], stream = stream_of(request)] {
        binary(op, a.dtype, walk, *a.slot, *b.slot, *y.slot, division, stream);
      },
      {.in_place = true});
}

std::unique_ptr<Kernel> make_compare(const KernelRequest& request) {
  const Operand a = request.inputs[0];
  const CompareOp op = op_of(compare_ops(), request);
  if (op >= CompareOp::kAnd && a.dtype != DType::kBool) return nullptr;
  const Walk walk = broadcast_walk(request.outputs[0].shape, request.inputs);
  return make_kernel(
      [=, b = request.inputs[1], y = request.outputs[0], stream = stream_of(request)] {
        compare(op, a.dtype, walk, *a.slot, *b.slot, y.data<bool>(), stream);
      });
}

std::unique_ptr<Kernel> make_select(const KernelRequest& request) {
  const Walk walk = broadcast_walk(request.outputs[0].shape, request.inputs);
  return make_kernel([walk, condition = request.inputs[0], a = request.inputs[1],
                      b = request.inputs[2], y = request.outputs[0], stream = stream_of(request)] {
    select(static_cast<int>(size_of(y.dtype)), walk, condition.data<bool>(), *a.slot, *b.slot,
           *y.slot, stream);
  });
}

std::unique_ptr<Kernel> make_cast(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  return make_kernel(
      [=, stream = stream_of(request)] {
        cast(x.dtype, *x.slot, y.dtype, *y.slot, x.num_elements(), stream);
      },
      {.in_place = size_of(x.dtype) == size_of(y.dtype)});
}

std::unique_ptr<Kernel> make_fma(const KernelRequest& request) {
  const Operand y = request.outputs[0];
  if (!is_floating(y.dtype)) return nullptr;
  const Walk walk = broadcast_walk(y.shape, request.inputs);
  return make_kernel(
      [=, a = request.inputs[0], b = request.inputs[1], c = request.inputs[2],
       stream = stream_of(request)] {
        multiply_add(y.dtype, walk, *a.slot, *b.slot, *c.slot, *y.slot, stream);
      },
      {.in_place = true});
}

// ((x_0 + x_1) + x_2) + … in the output.
std::unique_ptr<Kernel> make_add_n(const KernelRequest& request) {
  const Operand y = request.outputs[0];
  if (!is_number(y.dtype)) return nullptr;
  std::vector<Operand> inputs(request.inputs.begin(), request.inputs.end());
  return make_kernel([=, inputs = std::move(inputs), stream = stream_of(request)] {
    copy_bytes(*y.slot, *inputs[0].slot, y.num_bytes(), stream);
    for (size_t i = 1; i < inputs.size(); ++i)
      accumulate(y.dtype, *inputs[i].slot, *y.slot, y.num_elements(), stream);
  });
}

}  // namespace

void register_elementwise(KernelRegistry& kernels) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    kernels.add(op, DeviceType::kGPU, "cuda", make);
  };
  for (const auto& [name, op] : unary_ops()) add(name, make_unary);
  for (const auto& [name, op] : binary_ops()) add(name, make_binary);
  for (const auto& [name, op] : compare_ops()) add(name, make_compare);
  add("IsFinite", make_is_finite);
  add("LogicalNot", make_logical_not);
  add("Select", make_select);
  add("Fma", make_fma);
  add("Cast", make_cast);
  add("AddN", make_add_n);
}

}  // namespace cohort::cuda
