#include "cohort/kernels/cuda/random.h"

#include "cohort/core/runtime/philox.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

// All but the step, whose address is known when the kernel runs.
RandomSource source_of(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  const Shape& shape = request.outputs[0].shape;
  const bool batched = attrs.get_or<bool>("batched", false) && shape.rank() > 0;
  return {nullptr, attrs.get_or<int64_t>("seed", -1),
          philox_stream(attrs.get<std::string>("stream")),
          batched ? shape.num_elements(1, shape.rank()) : 0};
}

RandomSource at(RandomSource source, const StepState* step) {
  source.step = step;
  return source;
}

std::unique_ptr<Kernel> make_dropout(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const double rate = request.node.attrs().get<double>("rate");
  const double scale = rate < 1 ? 1 / (1 - rate) : 0;
  return make_kernel(
      [=, source = source_of(request), threshold = philox_drop_threshold(rate),
       y = request.outputs[0], step = request.step, stream = stream_of(request)] {
        dropout(x.dtype, at(source, *step), threshold, scale, *x.slot, *y.slot, x.num_elements(),
                stream);
      },
      {.in_place = true});
}

std::unique_ptr<Kernel> make_uniform(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  return make_kernel([source = source_of(request), low = attrs.get<double>("low"),
                      high = attrs.get<double>("high"), y = request.outputs[0], step = request.step,
                      stream = stream_of(request)] {
    random_uniform(y.dtype, at(source, *step), low, high, *y.slot, y.num_elements(), stream);
  });
}

std::unique_ptr<Kernel> make_normal(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  return make_kernel([source = source_of(request), mean = attrs.get<double>("mean"),
                      stddev = attrs.get<double>("stddev"), y = request.outputs[0],
                      step = request.step, stream = stream_of(request)] {
    random_normal(y.dtype, at(source, *step), mean, stddev, *y.slot, y.num_elements(), stream);
  });
}

}  // namespace

void register_random(KernelRegistry& kernels) {
  kernels.add("Dropout", DeviceType::kGPU, "cuda", make_dropout);
  kernels.add("DropoutGrad", DeviceType::kGPU, "cuda", make_dropout);
  kernels.add("RandomUniform", DeviceType::kGPU, "cuda", make_uniform);
  kernels.add("RandomNormal", DeviceType::kGPU, "cuda", make_normal);
}

}  // namespace cohort::cuda
