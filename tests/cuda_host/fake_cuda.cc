#include "tests/cuda_host/fake_cuda.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace cohort::testing {
namespace {

std::unique_ptr<FakeCuda>& instance() {
  static std::unique_ptr<FakeCuda> fake = std::make_unique<FakeCuda>();
  return fake;
}

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

}  // namespace

FakeCuda& fake_cuda() { return *instance(); }
void reset_fake_cuda() {
  current_device = 0;
  last_error = cudaSuccess;
  instance() = std::make_unique<FakeCuda>();
}

namespace {

FakeCuda::Device& here() { return fake_cuda().devices[static_cast<size_t>(current_device)]; }

cudaError_t note(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

bool fits(size_t bytes) {
  const FakeCuda::Device& device = here();
  return device.used_bytes + device.pooled_bytes + bytes <= device.total_bytes;
}

template <class T>
T* new_handle() {
  return static_cast<T*>(std::malloc(8));
}

// The driver's functions. A mapping's memory is a reserved range of addresses.
CUresult granularity(size_t* bytes, const CUmemAllocationProp*, CUmemAllocationGranularity_flags) {
  *bytes = size_t{2} << 20;
  return CUDA_SUCCESS;
}
CUresult reserve(CUdeviceptr* base, size_t bytes, size_t, CUdeviceptr, unsigned long long) {
  *base = reinterpret_cast<CUdeviceptr>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  return CUDA_SUCCESS;
}
CUresult unreserve(CUdeviceptr base, size_t bytes) {
  munmap(reinterpret_cast<void*>(base), bytes);
  return CUDA_SUCCESS;
}
CUresult create(CUmemGenericAllocationHandle* handle, size_t bytes, const CUmemAllocationProp*,
                unsigned long long) {
  if (!fits(bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  here().used_bytes += bytes;
  *handle = bytes;
  return CUDA_SUCCESS;
}
CUresult release(CUmemGenericAllocationHandle) { return CUDA_SUCCESS; }
CUresult map(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle, unsigned long long) {
  return CUDA_SUCCESS;
}
CUresult unmap(CUdeviceptr, size_t) { return CUDA_SUCCESS; }
CUresult set_access(CUdeviceptr, size_t, const CUmemAccessDesc*, size_t) { return CUDA_SUCCESS; }
CUresult context_state(CUdevice device, unsigned* flags, int* active) {
  *flags = 0;
  *active = fake_cuda().contexts.contains(device);
  return CUDA_SUCCESS;
}

void* driver_function(const std::string& name) {
  static const std::map<std::string, void*> functions = {
      {"cuMemGetAllocationGranularity", reinterpret_cast<void*>(granularity)},
      {"cuMemAddressReserve", reinterpret_cast<void*>(reserve)},
      {"cuMemAddressFree", reinterpret_cast<void*>(unreserve)},
      {"cuMemCreate", reinterpret_cast<void*>(create)},
      {"cuMemRelease", reinterpret_cast<void*>(release)},
      {"cuMemMap", reinterpret_cast<void*>(map)},
      {"cuMemUnmap", reinterpret_cast<void*>(unmap)},
      {"cuMemSetAccess", reinterpret_cast<void*>(set_access)},
      {"cuDevicePrimaryCtxGetState", reinterpret_cast<void*>(context_state)}};
  const auto it = functions.find(name);
  return it == functions.end() ? nullptr : it->second;
}

}  // namespace
}  // namespace cohort::testing

using namespace cohort::testing;  // NOLINT: what follows are C functions

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = static_cast<int>(fake_cuda().devices.size());
  return note(fake_cuda().count_status);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  const FakeCuda::Device& fake = fake_cuda().devices[static_cast<size_t>(device)];
  *properties = {};
  std::strncpy(properties->name, fake.name.c_str(), sizeof properties->name - 1);
  properties->major = fake.major;
  properties->minor = fake.minor;
  properties->totalGlobalMem = fake.total_bytes;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  *value = 0;
  if (attribute == cudaDevAttrComputeMode)
    *value = fake_cuda().devices[static_cast<size_t>(device)].mode;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = fake_cuda().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = fake_cuda().runtime_version;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  current_device = device;
  const std::lock_guard lock(fake_cuda().mutex);
  fake_cuda().contexts.insert(device);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int bytes, int) {
  std::strncpy(text, "0000:00:00.0", static_cast<size_t>(bytes));
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
const char* cudaGetErrorString(cudaError_t) { return "a fake error"; }
cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *function = driver_function(name);
  *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  *stream = new_handle<CUstream_st>();
  const std::lock_guard lock(fake_cuda().mutex);
  fake_cuda().contexts.insert(current_device);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::free(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t) {
  return note(fake_cuda().stalled ? cudaErrorNotReady : cudaSuccess);
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  ++fake_cuda().blocking_waits;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new_handle<CUevent_st>();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::free(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) {
  return note(fake_cuda().stalled ? cudaErrorNotReady : cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  ++fake_cuda().blocking_waits;
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return cudaSuccess; }
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  *graph = new_handle<CUgraph_st>();
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t, cudaGraphNode_t*, size_t* count) {
  *count = fake_cuda().graph_nodes;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t,
                                 unsigned long long flags) {
  fake_cuda().graph_flags = flags;
  *executable = new_handle<CUgraphExec_st>();
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) {
  ++fake_cuda().graph_launches;
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  std::free(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  std::free(executable);
  return cudaSuccess;
}

cudaError_t cudaFree(void*) { return cudaSuccess; }
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  *data = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  *free_bytes = *total = here().total_bytes;
  return cudaSuccess;
}
cudaError_t cudaMallocAsync(void** data, size_t bytes, cudaStream_t) {
  const std::lock_guard lock(fake_cuda().mutex);
  FakeCuda::Device& device = here();
  if (bytes > device.pooled_bytes && !fits(bytes - device.pooled_bytes))
    return note(cudaErrorMemoryAllocation);
  device.pooled_bytes -= std::min(bytes, device.pooled_bytes);
  device.used_bytes += bytes;
  *data = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  fake_cuda().sizes[*data] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeAsync(void* data, cudaStream_t) {
  const std::lock_guard lock(fake_cuda().mutex);
  const size_t bytes = fake_cuda().sizes[data];
  here().used_bytes -= bytes;
  here().pooled_bytes += bytes;
  std::free(data);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  here().pooled_bytes = 0;
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes, cudaStream_t) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  std::memset(to, value, bytes);
  return cudaSuccess;
}

}  // extern "C"
