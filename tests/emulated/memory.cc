#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <string_view>

#include "tests/emulated/access_checker.h"
#include "tests/emulated/include/cudaTypedefs.h"
#include "tests/emulated/streams.h"

// The one device and its memory. A kernel that leaves a piece of memory meets the address
// sanitizer, for a piece of the pool is as long as was asked for. New memory is full of NaN bytes.
namespace cohort::emulated {
namespace {

constexpr size_t kTotalBytes = size_t{8} << 30;
constexpr size_t kGranularity = size_t{2} << 20;
constexpr size_t kAlignment = 256;
constexpr size_t kPage = 4096;
constexpr int kMultiprocessors = 4;
constexpr int kVersion = 13000;  // of CUDA

using Lock = std::lock_guard<std::recursive_mutex>;

AccessChecker& checker() { return AccessChecker::instance(); }

bool is_device(const void* begin, size_t bytes) { return checker().is_device_memory(begin, bytes); }

bool fits(cudaMemcpyKind kind, const void* to, const void* from, size_t bytes) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return is_device(to, bytes) == to_device && is_device(from, bytes) == from_device;
}

void* at(CUdeviceptr address) { return reinterpret_cast<void*>(address); }

CUresult get_granularity(size_t* bytes, const CUmemAllocationProp*,
                         CUmemAllocationGranularity_flags) {
  *bytes = kGranularity;
  return CUDA_SUCCESS;
}

CUresult reserve(CUdeviceptr* address, size_t bytes, size_t, CUdeviceptr, unsigned long long) {
  void* memory =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = reinterpret_cast<CUdeviceptr>(memory);
  return CUDA_SUCCESS;
}

CUresult unreserve(CUdeviceptr address, size_t bytes) {
  munmap(at(address), bytes);
  return CUDA_SUCCESS;
}

// Memory comes with the right to touch it; a handle stands for its bytes.
CUresult create(CUmemGenericAllocationHandle* handle, size_t bytes, const CUmemAllocationProp*,
                unsigned long long) {
  *handle = bytes;
  return CUDA_SUCCESS;
}

CUresult release(CUmemGenericAllocationHandle) { return CUDA_SUCCESS; }

CUresult map(CUdeviceptr address, size_t bytes, size_t, CUmemGenericAllocationHandle handle,
             unsigned long long) {
  return address % kPage == 0 && bytes == handle ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult set_access(CUdeviceptr address, size_t bytes, const CUmemAccessDesc*, size_t) {
  const Lock hold(lock());
  if (mprotect(at(address), bytes, PROT_READ | PROT_WRITE) != 0) return CUDA_ERROR_INVALID_VALUE;
  checker().add_device_memory(at(address), bytes);
  return CUDA_SUCCESS;
}

CUresult unmap(CUdeviceptr address, size_t bytes) {
  const Lock hold(lock());
  checker().remove_device_memory(at(address));
  return mprotect(at(address), bytes, PROT_NONE) == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult get_context_state(CUdevice, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return CUDA_SUCCESS;
}

template <class Function>
void* address_of(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace
}  // namespace cohort::emulated

using namespace cohort::emulated;

cudaError_t cudaDriverGetVersion(int* version) {
  *version = kVersion;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulated", kTotalBytes, 9, 0, kMultiprocessors};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  static const std::map<cudaDeviceAttr, int> values = {
      {cudaDevAttrMultiProcessorCount, kMultiprocessors},
      {cudaDevAttrComputeMode, cudaComputeModeDefault},
      {cudaDevAttrComputeCapabilityMajor, 9},
      {cudaDevAttrComputeCapabilityMinor, 0}};
  const auto it = values.find(attribute);
  if (it == values.end()) return cudaErrorInvalidValue;
  *value = it->second;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  *free_bytes = *total_bytes = kTotalBytes;
  return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  static const std::map<std::string_view, void*> functions = {
      {"cuDevicePrimaryCtxGetState", address_of(get_context_state)},
      {"cuMemGetAllocationGranularity", address_of(get_granularity)},
      {"cuMemAddressReserve", address_of(reserve)},
      {"cuMemAddressFree", address_of(unreserve)},
      {"cuMemCreate", address_of(create)},
      {"cuMemRelease", address_of(release)},
      {"cuMemMap", address_of(map)},
      {"cuMemUnmap", address_of(unmap)},
      {"cuMemSetAccess", address_of(set_access)}};
  const auto it = functions.find(symbol);
  *function = it == functions.end() ? nullptr : it->second;
  *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  *memory = std::malloc(bytes);
  return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void* memory) {
  const Lock hold(lock());
  finish_everything();  // work may still use it
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  if (!memory) return cudaSuccess;
  return cudaErrorInvalidValue;  // nothing here is allocated for it
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) {
  const Lock hold(lock());
  if (bytes > kTotalBytes || posix_memalign(memory, kAlignment, bytes) != 0)
    return cudaErrorMemoryAllocation;
  std::memset(*memory, 0xff, bytes);
  checker().add_device_memory(*memory, bytes);
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* memory, cudaStream_t stream) {
  const Lock hold(lock());
  enqueue(stream, [memory] {
    checker().remove_device_memory(memory);
    std::free(memory);
  });
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const Lock hold(lock());
  if (bytes > 0 && !fits(kind, to, from, bytes)) return cudaErrorInvalidValue;
  enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch,
                              size_t width, size_t height, cudaMemcpyKind kind,
                              cudaStream_t stream) {
  for (size_t row = 0; row < height; ++row) {
    const cudaError_t error = cudaMemcpyAsync(
        static_cast<std::byte*>(to) + row * to_pitch,
        static_cast<const std::byte*>(from) + row * from_pitch, width, kind, stream);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t bytes,
                                cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  const Lock hold(lock());
  if (bytes > 0 && !is_device(to, bytes)) return cudaErrorInvalidValue;
  enqueue(stream, [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}
