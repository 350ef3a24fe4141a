#include "cohort/kernels/cuda/recording.h"

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {

void CudaRecording::replay() {
  check(cudaGraphLaunch(graph_, streams_->compute), "cudaGraphLaunch");
}

void begin_capture(const Streams& streams) {
  // Thread-local: threads of other devices may allocate and synchronise meanwhile.
  check(cudaStreamBeginCapture(streams.compute, cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
}

std::unique_ptr<CudaRecording> end_capture(std::shared_ptr<Streams> streams) {
  Handle<cudaGraph_t, cudaGraphDestroy> graph;
  check(cudaStreamEndCapture(streams->compute, graph.receive()), "cudaStreamEndCapture");
  GraphExec executable;
  // Collectives keep the priority of the stream that they were captured on.
  check(cudaGraphInstantiate(executable.receive(), graph, cudaGraphInstantiateFlagUseNodePriority),
        "cudaGraphInstantiate");
  check(cudaGraphUpload(executable, streams->compute), "cudaGraphUpload");
  return std::make_unique<CudaRecording>(std::move(executable), std::move(streams));
}

}  // namespace cohort::cuda
