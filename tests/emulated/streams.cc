#include "tests/emulated/streams.h"

#include <deque>
#include <set>
#include <utility>
#include <vector>

using cohort::emulated::Work;

struct CUgraph_st {
  std::vector<Work> works;
};
struct CUgraphExec_st {
  std::vector<Work> works;
};

struct CUstream_st {
  std::deque<Work> waiting;
  uint64_t enqueued = 0;
  uint64_t done = 0;
  CUgraph_st* capture = nullptr;
  bool owns_capture = false;  // it began the capture; others joined through events
};

struct CUevent_st {
  cudaStream_t stream = nullptr;  // null: never recorded, or its stream is gone
  uint64_t position = 0;
  CUgraph_st* capture = nullptr;
};

namespace cohort::emulated {
namespace {

struct State {
  std::recursive_mutex lock;
  std::set<cudaStream_t> streams;
  std::set<cudaEvent_t> events;
  std::string failure;  // "" if there is none
  std::string last_failure;
  cudaError_t last_error = cudaSuccess;
};
State& state() {
  static State& state = *new State;  // outlives the device, which others end
  return state;
}

void do_one(cudaStream_t stream) {
  const Work work = std::move(stream->waiting.front());
  stream->waiting.pop_front();
  work();
  ++stream->done;
}

void do_until(cudaStream_t stream, uint64_t position) {
  while (stream->done < position && !stream->waiting.empty()) do_one(stream);
}

// The captured graph ends here for all streams that take part.
void end_capture(const CUgraph_st* graph) {
  for (cudaStream_t stream : state().streams)
    if (stream->capture == graph) {
      stream->capture = nullptr;
      stream->owns_capture = false;
    }
  for (cudaEvent_t event : state().events)
    if (event->capture == graph) event->capture = nullptr;
}

cudaError_t keep(cudaError_t error) {
  if (error != cudaSuccess && error != cudaErrorNotReady) state().last_error = error;
  return error;
}

// The end of a call that waited.
cudaError_t outcome() {
  if (state().failure.empty()) return cudaSuccess;
  state().last_failure = std::exchange(state().failure, "");
  return keep(cudaErrorLaunchFailure);
}

}  // namespace

std::recursive_mutex& lock() { return state().lock; }

void enqueue(cudaStream_t stream, Work work) {
  if (stream->capture) {
    stream->capture->works.push_back(std::move(work));
    return;
  }
  stream->waiting.push_back(std::move(work));
  ++stream->enqueued;
}

void finish_everything() {
  for (cudaStream_t stream : state().streams) do_until(stream, stream->enqueued);
}

void fail(std::string what) {
  if (state().failure.empty()) state().failure = std::move(what);
}

}  // namespace cohort::emulated

using namespace cohort::emulated;
using Lock = std::lock_guard<std::recursive_mutex>;

cudaError_t cudaGetLastError() {
  const Lock hold(lock());
  return std::exchange(state().last_error, cudaSuccess);
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    default:
      return "a CUDA error";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  if (error == cudaErrorLaunchFailure) return state().last_failure.c_str();
  return cudaGetErrorName(error);
}

cudaError_t cudaDeviceSynchronize() {
  const Lock hold(lock());
  finish_everything();
  return outcome();
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  const Lock hold(lock());
  state().streams.insert(*stream = new CUstream_st);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock hold(lock());
  do_until(stream, stream->enqueued);
  for (cudaEvent_t event : state().events)
    if (event->stream == stream) event->stream = nullptr;
  state().streams.erase(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Lock hold(lock());
  if (stream->capture) return keep(cudaErrorStreamCaptureUnsupported);
  if (!stream->waiting.empty()) do_one(stream);
  return stream->waiting.empty() ? outcome() : cudaErrorNotReady;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock hold(lock());
  if (stream->capture) return keep(cudaErrorStreamCaptureUnsupported);
  do_until(stream, stream->enqueued);
  return outcome();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock hold(lock());
  if (event->capture) {  // the stream takes part in the capture from now on
    stream->capture = event->capture;
    return cudaSuccess;
  }
  if (!event->stream) return cudaSuccess;
  if (stream->capture) return keep(cudaErrorStreamCaptureUnsupported);
  if (event->stream == stream) return cudaSuccess;
  enqueue(stream, [earlier = event->stream, position = event->position] {
    if (state().streams.contains(earlier)) do_until(earlier, position);
  });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const Lock hold(lock());
  state().events.insert(*event = new CUevent_st);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Lock hold(lock());
  state().events.erase(event);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Lock hold(lock());
  if (event->capture) return keep(cudaErrorStreamCaptureUnsupported);
  if (!event->stream || event->stream->done >= event->position) return outcome();
  do_one(event->stream);
  return event->stream->done >= event->position ? outcome() : cudaErrorNotReady;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock hold(lock());
  *event = {stream, stream->enqueued, stream->capture};
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock hold(lock());
  if (event->capture) return keep(cudaErrorStreamCaptureUnsupported);
  if (event->stream) do_until(event->stream, event->position);
  return outcome();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const Lock hold(lock());
  if (stream->capture) return keep(cudaErrorStreamCaptureUnsupported);
  stream->capture = new CUgraph_st;
  stream->owns_capture = true;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock hold(lock());
  *graph = nullptr;
  if (!stream->owns_capture) return keep(cudaErrorInvalidValue);
  *graph = stream->capture;
  end_capture(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = graph->works.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new CUgraphExec_st{graph->works};
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Lock hold(lock());
  for (const Work& work : executable->works) enqueue(stream, work);
  return cudaSuccess;
}
