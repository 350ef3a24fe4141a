#include "cohort/kernels/cuda/device.h"

#include <cstdlib>
#include <string_view>

#include "cohort/kernels/cuda/arena.h"
#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/recording.h"
#include "cohort/kernels/cuda/staging.h"
#include "cohort/kernels/cuda/wait.h"

namespace cohort::cuda {
namespace {

DeviceName complete_name(int index) {
  return DeviceName::parse("gpu:" + std::to_string(index))
      .merged_with(DeviceName::parse("/job:localhost/replica:0/task:0"));
}

bool is(const char* variable, std::string_view wanted) {
  const char* value = std::getenv(variable);
  return value && value == wanted;
}

}  // namespace

struct CudaDevice::Open {
  explicit Open(Place place)
      : streams(std::make_shared<Streams>(place)),
        arena(streams),
        faults(streams),
        uploads(streams),
        downloads(streams) {}

  /// Runs a kernel of this build.
  void probe() {
    constexpr uint32_t kPattern = 0x600DCA5E;
    const std::shared_ptr<void> memory = cuda::allocate(streams, sizeof kPattern);
    fill(sizeof kPattern, kPattern, memory.get(), 1, streams->compute);
    uint32_t seen = 0;
    downloads.copy_to_host(&seen, memory.get(), sizeof seen);
    if (seen != kPattern) throw Internal("a kernel wrote {:x}; want {:x}", seen, kPattern);
  }

  std::shared_ptr<Streams> streams;
  CudaArena arena;
  FaultLog faults;
  Staging uploads;  // of who submits work
  std::mutex reading;
  Staging downloads;  // guarded by reading: other devices' threads read, too
  Handle<cublasLtHandle_t, cublasLtDestroy> cublas;
  Handle<cudnnHandle_t, cudnnDestroy> cudnn;
  std::unique_ptr<CudaRecording> recording;  // under way
};

CudaDevice::CudaDevice(Place place)
    : name_(complete_name(place.index)),
      place_(place),
      allow_tf32_(is("COHORT_TF32", "1")),
      records_(!is("COHORT_RECORD", "0")) {}

CudaDevice::~CudaDevice() = default;

CudaDevice::Open& CudaDevice::open() {
  if (Open* opened = open_.load(std::memory_order_acquire)) return *opened;
  const std::lock_guard lock(opening_);
  if (!owned_) owned_ = make_open();
  open_.store(owned_.get(), std::memory_order_release);
  return *owned_;
}

std::unique_ptr<CudaDevice::Open> CudaDevice::make_open() const {
  try {
    DeviceGuard guard(ordinal());
    auto opened = std::make_unique<Open>(place_);
    opened->probe();
    return opened;
  } catch (const Error& error) {
    throw FailedPrecondition("{}: cannot be used: {}", name_.to_string(), error.what());
  }
}

Device::Arena& CudaDevice::arena() { return open().arena; }
const std::shared_ptr<Streams>& CudaDevice::streams() { return open().streams; }
FaultLog& CudaDevice::faults() { return open().faults; }

void CudaDevice::copy_from_host(void* to, const void* from, size_t bytes) {
  DeviceGuard guard(ordinal());
  open().uploads.copy_to_device(to, from, bytes);
}

void CudaDevice::copy_to_host(void* to, const void* from, size_t bytes) {
  DeviceGuard guard(ordinal());
  Open& opened = open();
  {
    const std::lock_guard lock(opened.reading);
    opened.downloads.copy_to_host(to, from, bytes);
  }
  opened.faults.check();
}

void CudaDevice::copy_from_device(void* to, Device& source, const void* from, size_t bytes) {
  if (bytes == 0) return;
  DeviceGuard guard(ordinal());
  if (source.type() == DeviceType::kCPU) {
    source.synchronize();
    open().uploads.copy_to_device(to, from, bytes);
    return;
  }
  // The copy runs beside our kernels: after what its source has submitted and after what wrote or
  // read the target, before what comes next on both.
  const Streams& ours = *streams();
  const Streams& theirs = *static_cast<CudaDevice&>(source).streams();
  Event ready = make_event();
  {
    DeviceGuard there(theirs.ordinal);
    Event written = make_event();
    check(cudaEventRecord(written, theirs.compute), "cudaEventRecord");
    check(cudaStreamWaitEvent(ours.copy, written, 0), "cudaStreamWaitEvent");
  }
  order(ours.compute, ours.copy, ready);
  if (ours.ordinal == theirs.ordinal)
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, ours.copy), "cudaMemcpyAsync");
  else
    check(cudaMemcpyPeerAsync(to, ours.ordinal, from, theirs.ordinal, bytes, ours.copy),
          "cudaMemcpyPeerAsync");
  order(ours.copy, ours.compute, ready);
  check(cudaStreamWaitEvent(theirs.compute, ready, 0), "cudaStreamWaitEvent");
}

void CudaDevice::synchronize() {
  DeviceGuard guard(ordinal());
  open().faults.check();
}

bool CudaDevice::begin_recording() {
  if (!records_) return false;
  begin_capture(*streams());
  open().recording = std::make_unique<CudaRecording>(streams());
  return true;
}

std::unique_ptr<Device::Recording> CudaDevice::end_recording() {
  std::unique_ptr<CudaRecording> recording = std::move(open().recording);
  recording->add(end_capture(*streams()));
  return recording;
}

void CudaDevice::between_kernels(std::function<void()> work) {
  CudaRecording* recording = open().recording.get();
  if (!recording) return work();
  recording->add(end_capture(*streams()), std::move(work));
  begin_capture(*streams());
}

void CudaDevice::bind_thread() { check(cudaSetDevice(ordinal()), "cudaSetDevice"); }

cublasLtHandle_t CudaDevice::cublas() {
  Open& opened = open();
  if (!opened.cublas) {
    DeviceGuard guard(ordinal());
    check(take_or_trim(*opened.streams, CUBLAS_STATUS_ALLOC_FAILED,
                       [&] { return cublasLtCreate(opened.cublas.receive()); }),
          "cublasLtCreate");
  }
  return opened.cublas;
}

cudnnHandle_t CudaDevice::cudnn() {
  Open& opened = open();
  if (!opened.cudnn) {
    DeviceGuard guard(ordinal());
    check(take_or_trim(*opened.streams, CUDNN_STATUS_ALLOC_FAILED,
                       [&] { return cudnnCreate(opened.cudnn.receive()); }),
          "cudnnCreate");
    check(cudnnSetStream(opened.cudnn, opened.streams->compute), "cudnnSetStream");
  }
  return opened.cudnn;
}

void join_faults(std::span<Device* const> devices) {
  for (Device* device : devices)
    for (Device* peer : devices)
      if (peer != device)
        static_cast<CudaDevice*>(device)->faults().join(static_cast<CudaDevice*>(peer)->faults());
}

}  // namespace cohort::cuda
