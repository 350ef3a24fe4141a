#pragma once

#include "cohort/core/device/device.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

using GraphExec = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

/// A captured CUDA graph, replayed on the compute stream.
class CudaRecording final : public Device::Recording {
 public:
  CudaRecording(GraphExec graph, std::shared_ptr<Streams> streams)
      : graph_(std::move(graph)), streams_(std::move(streams)) {}
  void replay() override;

 private:
  GraphExec graph_;
  std::shared_ptr<Streams> streams_;
};

void begin_capture(const Streams& streams);
/// Throws what invalidated the capture. Leaves the stream out of capture mode in any case.
std::unique_ptr<CudaRecording> end_capture(std::shared_ptr<Streams> streams);

}  // namespace cohort::cuda
