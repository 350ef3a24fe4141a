#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/kernels/cuda/streams.h"

namespace cohort::cuda {

using GraphExec = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

/// Captured CUDA graphs, replayed on the compute stream, and what the host does between them.
class CudaRecording final : public Device::Recording {
 public:
  explicit CudaRecording(std::shared_ptr<Streams> streams) : streams_(std::move(streams)) {}
  /// `graph`: nothing where nothing was captured.
  void add(std::optional<GraphExec> graph, std::function<void()> then = {});
  void replay() override;

 private:
  struct Piece {
    std::optional<GraphExec> graph;
    std::function<void()> then;
  };
  std::shared_ptr<Streams> streams_;
  std::vector<Piece> pieces_;
};

void begin_capture(const Streams& streams);
/// Throws what invalidated the capture. Leaves the stream out of capture mode in any case.
std::optional<GraphExec> end_capture(const Streams& streams);

}  // namespace cohort::cuda
