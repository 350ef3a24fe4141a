#include "cohort/kernels/cuda/device.h"

#include <cstdlib>
#include <string_view>
#include <thread>

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

DeviceName complete_name(int ordinal) {
  return DeviceName::parse("gpu:" + std::to_string(ordinal))
      .merged_with(DeviceName::parse("/job:localhost/replica:0/task:0"));
}

bool is_on(const char* variable) {
  const char* value = std::getenv(variable);
  return value && std::string_view(value) == "1";
}

}  // namespace

CudaDevice::CudaDevice(int ordinal)
    : name_(complete_name(ordinal)),
      streams_(std::make_shared<Streams>(ordinal)),
      arena_(ordinal),
      faults_(streams_),
      staging_(ordinal),
      allow_tf32_(is_on("COHORT_TF32")) {
  check(cudaDeviceGetAttribute(&num_multiprocessors_, cudaDevAttrMultiProcessorCount, ordinal),
        "cudaDeviceGetAttribute");
}

void CudaDevice::copy_from_host(void* to, const void* from, size_t bytes) {
  DeviceGuard guard(ordinal());
  staging_.copy_to_device(to, from, bytes, compute_stream());
}

void CudaDevice::copy_to_host(void* to, const void* from, size_t bytes) {
  DeviceGuard guard(ordinal());
  wait_for_compute();
  staging_.copy_to_host(to, from, bytes, compute_stream());
  faults_.check();
}

void CudaDevice::copy_from_device(void* to, Device& source, const void* from, size_t bytes) {
  if (bytes == 0) return;
  DeviceGuard guard(ordinal());
  if (source.type() == DeviceType::kCPU) {
    source.synchronize();
    staging_.copy_to_device(to, from, bytes, compute_stream());
    return;
  }
  // The copy runs beside our kernels: after what its source has submitted and after what wrote or
  // read the target, before what comes next on both.
  const Streams& theirs = *static_cast<CudaDevice&>(source).streams_;
  Event ready = make_event();
  {
    DeviceGuard there(theirs.ordinal);
    Event written = make_event();
    check(cudaEventRecord(written, theirs.compute), "cudaEventRecord");
    check(cudaStreamWaitEvent(streams_->copy, written, 0), "cudaStreamWaitEvent");
  }
  order(streams_->compute, streams_->copy, ready);
  check(cudaMemcpyPeerAsync(to, ordinal(), from, theirs.ordinal, bytes, streams_->copy),
        "cudaMemcpyPeerAsync");
  order(streams_->copy, streams_->compute, ready);
  check(cudaStreamWaitEvent(theirs.compute, ready, 0), "cudaStreamWaitEvent");
}

void CudaDevice::synchronize() {
  DeviceGuard guard(ordinal());
  wait_for_compute();
  faults_.check();
}

void CudaDevice::wait_for_compute() {
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;
  constexpr Milliseconds kBetweenCalls{50};
  if (monitors_.empty()) return;  // who waits next needs no company
  const Clock::time_point begin = Clock::now();
  Clock::time_point next = begin + kBetweenCalls;
  while (cudaStreamQuery(compute_stream()) == cudaErrorNotReady) {
    if (const Clock::time_point now = Clock::now(); now >= next) {
      for (const auto& each : monitors_)
        if (const auto monitor = each.lock())
          (*monitor)(std::chrono::duration_cast<Milliseconds>(now - begin));
      next = now + kBetweenCalls;
    }
    std::this_thread::yield();
  }
}

std::shared_ptr<CudaDevice::Monitor> CudaDevice::add_monitor(Monitor monitor) {
  std::erase_if(monitors_, [](const auto& each) { return each.expired(); });
  auto owner = std::make_shared<Monitor>(std::move(monitor));
  monitors_.push_back(owner);
  return owner;
}

bool CudaDevice::begin_recording() {
  begin_capture(*streams_);
  return true;
}

std::unique_ptr<Device::Recording> CudaDevice::end_recording() { return end_capture(streams_); }

void CudaDevice::bind_thread() { check(cudaSetDevice(ordinal()), "cudaSetDevice"); }

cublasLtHandle_t CudaDevice::cublas() {
  if (!cublas_) {
    DeviceGuard guard(ordinal());
    check(cublasLtCreate(cublas_.receive()), "cublasLtCreate");
  }
  return cublas_;
}

cudnnHandle_t CudaDevice::cudnn() {
  if (!cudnn_) {
    DeviceGuard guard(ordinal());
    check(cudnnCreate(cudnn_.receive()), "cudnnCreate");
    check(cudnnSetStream(cudnn_, compute_stream()), "cudnnSetStream");
  }
  return cudnn_;
}

}  // namespace cohort::cuda
