#include "cohort/kernels/cuda/recording.h"

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {

void CudaRecording::add(std::optional<GraphExec> graph, std::function<void()> then) {
  pieces_.push_back({std::move(graph), std::move(then)});
}

void CudaRecording::replay() {
  for (const Piece& piece : pieces_) {
    if (piece.graph) check(cudaGraphLaunch(*piece.graph, streams_->compute), "cudaGraphLaunch");
    if (piece.then) piece.then();
  }
}

void begin_capture(const Streams& streams) {
  // Thread-local: threads of other devices may allocate and synchronise meanwhile.
  check(cudaStreamBeginCapture(streams.compute, cudaStreamCaptureModeThreadLocal),
        "cudaStreamBeginCapture");
}

std::optional<GraphExec> end_capture(const Streams& streams) {
  Handle<cudaGraph_t, cudaGraphDestroy> graph;
  check(cudaStreamEndCapture(streams.compute, graph.receive()), "cudaStreamEndCapture");
  size_t num_nodes = 0;
  check(cudaGraphGetNodes(graph, nullptr, &num_nodes), "cudaGraphGetNodes");
  if (num_nodes == 0) return {};
  GraphExec executable;
  // Collectives keep the priority of the stream that they were captured on.
  check(cudaGraphInstantiate(executable.receive(), graph, cudaGraphInstantiateFlagUseNodePriority),
        "cudaGraphInstantiate");
  check(cudaGraphUpload(executable, streams.compute), "cudaGraphUpload");
  return executable;
}

}  // namespace cohort::cuda
