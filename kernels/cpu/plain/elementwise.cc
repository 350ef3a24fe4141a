#include "cohort/kernels/cpu/plain/elementwise.h"

#include "cohort/kernels/cpu/parallel.h"

namespace cohort::cpu::plain {

UnaryKernel::UnaryKernel(const KernelRequest& request, UnaryLoop loop)
    : CpuKernel(request),
      loop_(loop),
      x_bytes_(static_cast<int64_t>(size_of(request.inputs[0].dtype))),
      y_bytes_(static_cast<int64_t>(size_of(request.outputs[0].dtype))) {}

void UnaryKernel::run() {
  const std::byte* x = in(0).data<std::byte>();
  std::byte* y = out(0).data<std::byte>();
  parallel_for(threads(), out(0).num_elements(), grain_for(4, x_bytes_ + y_bytes_),
               [=, this](int64_t begin, int64_t end) {
                 loop_(x + begin * x_bytes_, y + begin * y_bytes_, end - begin);
               });
}

BinaryKernel::BinaryKernel(const KernelRequest& request, BinaryLoop loop)
    : CpuKernel(request),
      plan_(request.outputs[0].shape, std::array{request.inputs[0].shape, request.inputs[1].shape}),
      loop_(loop),
      in_bytes_(static_cast<int64_t>(size_of(request.inputs[0].dtype))),
      out_bytes_(static_cast<int64_t>(size_of(request.outputs[0].dtype))) {}

void BinaryKernel::run() {
  const std::byte* a = in(0).data<std::byte>();
  const std::byte* b = in(1).data<std::byte>();
  std::byte* y = out(0).data<std::byte>();
  const int64_t a_step = plan_.inner_stride(0), b_step = plan_.inner_stride(1);
  parallel_for(threads(), plan_.num_elements(), grain_for(4, 2 * in_bytes_ + out_bytes_),
               [=, this](int64_t begin, int64_t end) {
                 plan_.for_each_run(begin, end, [=, this](int64_t at, const auto& from, int64_t n) {
                   loop_(a + from[0] * in_bytes_, a_step, b + from[1] * in_bytes_, b_step,
                         y + at * out_bytes_, n);
                 });
               });
}

}  // namespace cohort::cpu::plain
