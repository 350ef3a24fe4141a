#include "cohort/kernels/cuda/update.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/element_program_of.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/update_body.h"
#include "cohort/kernels/cuda/update_segments.h"

namespace cohort::cuda {
namespace {

UpdateInputs inputs_of(const UpdateSegments& segments) {
  return {segments.of_group(0).data<float>(), segments.of_group(1).data<int64_t>(),
          segments.of_group(2).data<bool>(), segments.fault()};
}

std::unique_ptr<Kernel> make_adam(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  UpdateSegments segments(request);
  const AdamNumbers numbers = {attrs.get<double>("beta_1"), attrs.get<double>("beta_2"),
                               attrs.get<double>("epsilon"), attrs.get_or<bool>("amsgrad", false),
                               segments.decays()};
  return make_kernel(
      [numbers, segments = std::move(segments), stream = stream_of(request)]() mutable {
        adam(segments.dtype(), numbers, segments.gather(), inputs_of(segments), stream);
      });
}

std::unique_ptr<Kernel> make_sgd(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  UpdateSegments segments(request);
  const SgdNumbers numbers = {attrs.get<double>("momentum"), attrs.get_or<bool>("nesterov", false),
                              segments.decays()};
  return make_kernel(
      [numbers, segments = std::move(segments), stream = stream_of(request)]() mutable {
        sgd(segments.dtype(), numbers, segments.gather(), inputs_of(segments), stream);
      });
}

std::unique_ptr<Kernel> make_by_body(const KernelRequest& request) {
  UpdateSegments segments(request);
  const ElementProgram program = element_program_of(request.node, segments.num_arrays());
  return make_kernel(
      [program, segments = std::move(segments), stream = stream_of(request)]() mutable {
        const BodyInputs inputs = {segments.of_group(0).data<double>(),
                                   segments.of_group(1).data<bool>(), segments.fault()};
        update_by_body(segments.dtype(), program, segments.gather(), inputs, stream);
      });
}

}  // namespace

void register_update(KernelRegistry& kernels) {
  kernels.add("AdamUpdate", DeviceType::kGPU, "cuda", make_adam);
  kernels.add("SgdUpdate", DeviceType::kGPU, "cuda", make_sgd);
  kernels.add("ElementwiseUpdate", DeviceType::kGPU, "cuda", make_by_body);
}

}  // namespace cohort::cuda
