#pragma once

#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cpu/onednn/call.h"
#include "cohort/kernels/cpu/window_plan.h"

namespace cohort::cpu::onednn {

/// One f32 convolution as oneDNN describes it: activations [N, H, W, C] as they are, the kernel
/// [KH, KW, C / groups, F] as it is (plain_kernel) and as a primitive may choose it (any_kernel).
struct ConvDescs {
  explicit ConvDescs(const WindowPlan& plan);

  Desc image, output, bias, plain_kernel, any_kernel;
  dnnl::memory::dims strides, dilation, pad_before, pad_after;
};

/// The scratchpad is the caller's; relu follows where asked for.
dnnl::primitive_attr conv_attributes(bool relu = false);

dnnl::convolution_forward::primitive_desc conv_forward_desc(const ConvDescs& descs, bool bias,
                                                            bool relu, const dnnl::engine& engine);

/// A kernel operand in the layout that a primitive wants: a copy, renewed when the variable has
/// been written.
class PackedKernel {
 public:
  PackedKernel() = default;
  /// reversed_places > 0: `source` is that many blocks (kernel places), taken last first.
  PackedKernel(const Context& context, Device& device, const Operand& source, const Desc& plain,
               const Desc& wanted, int64_t reversed_places = 0);

  /// A value that is no variable is packed every time.
  const void* data(const Context& context);

 private:
  const void* reverse(const float* from);

  Operand source_;
  std::shared_ptr<void> packed_;
  std::shared_ptr<void> reversed_;
  int64_t reversed_places_ = 0;
  Call pack_;
  uint64_t version_ = 0;
  const void* from_ = nullptr;
};

/// The threads for a convolution: one where a fork would not pay.
int team_for(const KernelRequest& request, const WindowPlan& plan);

/// make() within a team of this size. Null where oneDNN has no such primitive.
template <class Make>
std::unique_ptr<Kernel> make_or_refuse(const KernelRequest& request, int num_threads, Make&& make) {
  const TeamSize team(num_threads);
  try {
    return make();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return nullptr;
    throw Internal("{}: oneDNN: {}", request.node.name(), error.what());
  }
}

/// What oneDNN takes here: f32, and batches with rows.
bool takes(const KernelRequest& request);

}  // namespace cohort::cpu::onednn
