#include "cohort/kernels/cuda/update.h"

#include "cohort/core/runtime/rows_update.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/element_program_of.h"
#include "cohort/kernels/cuda/indexing.h"
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

std::unique_ptr<Kernel> make_by_rows(const KernelRequest& request) {
  auto update = std::make_unique<RowsUpdate>(request);
  const int64_t width = request.inputs[1].shape.num_elements(1, request.inputs[1].shape.rank());
  const auto element_bytes = static_cast<int>(size_of(request.inputs[1].dtype));
  const size_t workspace_bytes = update->workspace_bytes();
  return make_kernel(
      [update = std::move(update), workspace = request.workspace, width, element_bytes,
       fault = device_of(request).faults().device(), stream = stream_of(request)] {
        const Indices indices = {update->indices().dtype,
                                 *update->indices().slot,
                                 update->num_rows(),
                                 update->table_rows(),
                                 fault,
                                 0};
        update->use(*workspace);
        for (size_t k = 0; k < update->tables().size(); ++k)
          copy_rows(element_bytes, indices, width, *update->tables()[k].slot, update->rows(k),
                    stream);
        update->run();
        for (size_t k = 0; k < update->tables().size(); ++k)
          write_rows(element_bytes, indices, width, update->rows(k), update->apply().data<bool>(),
                     *update->tables()[k].slot, stream);
      },
      {.workspace_bytes = workspace_bytes});
}

}  // namespace

void register_update(KernelRegistry& kernels) {
  kernels.add("AdamUpdate", DeviceType::kGPU, "cuda", make_adam);
  kernels.add("SgdUpdate", DeviceType::kGPU, "cuda", make_sgd);
  kernels.add("ElementwiseUpdate", DeviceType::kGPU, "cuda", make_by_body);
  kernels.add("RowsUpdate", DeviceType::kGPU, "cuda", make_by_rows);
}

}  // namespace cohort::cuda
