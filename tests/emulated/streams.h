#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "tests/emulated/include/cuda_runtime_api.h"

// Streams that do as little as they may: work waits in its stream until somebody waits for it. What
// the host does too early then shows every time: it reads old numbers, or work reads what the host
// has changed meanwhile.
namespace cohort::emulated {

using Work = std::function<void()>;

/// Held by every function of the CUDA interface.
std::recursive_mutex& lock();
/// Adds `work` to the stream, or to the graph that it captures.
void enqueue(cudaStream_t stream, Work work);
/// Does everything that was enqueued anywhere.
void finish_everything();
/// What work found wrong. The next call that waits returns cudaErrorLaunchFailure.
void fail(std::string what);

}  // namespace cohort::emulated
