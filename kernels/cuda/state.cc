#include "cohort/kernels/cuda/state.h"

#include <cstddef>

#include "cohort/core/ops/state.h"
#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

size_t offset_of(ops::StepField field) {
  switch (field) {
    case ops::StepField::kStep:
      return offsetof(StepState, step);
    case ops::StepField::kReplicaId:
      return offsetof(StepState, replica_id);
    case ops::StepField::kNumReplicas:
      return offsetof(StepState, num_replicas);
    case ops::StepField::kRows:
      return offsetof(StepState, rows);
    case ops::StepField::kGlobalRows:
      return offsetof(StepState, global_rows);
    case ops::StepField::kRowOffset:
      return offsetof(StepState, row_offset);
  }
  throw Internal("step_info: got field {}", static_cast<int>(field));
}

std::unique_ptr<Kernel> make_step_info(const KernelRequest& request) {
  const auto field = static_cast<ops::StepField>(request.node.attrs().get<int64_t>("field"));
  return make_kernel([offset = offset_of(field), y = request.outputs[0], step = request.step,
                      stream = stream_of(request)] {
    const auto* from = reinterpret_cast<const std::byte*>(*step) + offset;
    copy_bytes(*y.slot, from, sizeof(int64_t), stream);
  });
}

std::unique_ptr<Kernel> make_assign(const KernelRequest& request) {
  const std::string& op = request.node.op_name();
  const AssignKind kind = op == "Assign"      ? AssignKind::kReplace
                          : op == "AssignAdd" ? AssignKind::kAdd
                                              : AssignKind::kSub;
  const Operand variable = request.variables[0];
  if (variable.dtype == DType::kBool && kind != AssignKind::kReplace) return nullptr;
  return make_kernel([=, value = request.inputs[0], fault = device_of(request).faults().device(),
                      stream = stream_of(request)] {
    assign(kind, variable.dtype, *value.slot, *variable.slot, variable.num_elements(), fault,
           stream);
  });
}

std::unique_ptr<Kernel> make_step_vote(const KernelRequest& request) {
  return make_kernel([y = request.outputs[0], fault = device_of(request).faults().device(),
                      stream = stream_of(request)] { vote(fault, y.data<int32_t>(), stream); });
}

std::unique_ptr<Kernel> make_step_veto(const KernelRequest& request) {
  const auto voters = static_cast<int32_t>(request.node.attrs().get<int64_t>("voters"));
  return make_kernel(
      [=, sum = request.inputs[0], fault = device_of(request).faults().device(),
       stream = stream_of(request)] { veto(sum.data<int32_t>(), voters, fault, stream); });
}

std::unique_ptr<Kernel> make_check_finite(const KernelRequest& request) {
  std::vector<Operand> inputs(request.inputs.begin(), request.inputs.end());
  return make_kernel(
      [inputs = std::move(inputs), y = request.outputs[0], stream = stream_of(request)] {
        fill(sizeof(bool), 1, *y.slot, 1, stream);
        for (const Operand& x : inputs)
          check_finite(x.dtype, *x.slot, x.num_elements(), y.data<bool>(), stream);
      });
}

}  // namespace

void register_state(KernelRegistry& kernels) {
  kernels.add("StepInfo", DeviceType::kGPU, "cuda", make_step_info);
  for (const std::string_view op : {"Assign", "AssignAdd", "AssignSub"})
    kernels.add(op, DeviceType::kGPU, "cuda", make_assign);
  kernels.add("StepVote", DeviceType::kGPU, "cuda", make_step_vote);
  kernels.add("StepVeto", DeviceType::kGPU, "cuda", make_step_veto);
  kernels.add("CheckFinite", DeviceType::kGPU, "cuda", make_check_finite);
}

}  // namespace cohort::cuda
