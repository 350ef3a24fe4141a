#include "cohort/kernels/cuda/arena.h"

#include <cudaTypedefs.h>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/wait.h"

namespace cohort::cuda {
namespace {

// CUDA 10.2 brought these functions; asking for that version gives the signatures below.
constexpr unsigned kApiVersion = 10020;

template <class Function>
void look_up(Function& function, const char* symbol) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  check(cudaGetDriverEntryPointByVersion(symbol, &found, kApiVersion, cudaEnableDefault, &result),
        symbol);
  if (result != cudaDriverEntryPointSuccess || !found)
    throw Unimplemented("arena: the CUDA driver has no {}; want CUDA 10.2 or newer", symbol);
  function = reinterpret_cast<Function>(found);
}

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

struct VirtualMemoryApi {
  VirtualMemoryApi() {
    look_up(get_granularity, "cuMemGetAllocationGranularity");
    look_up(reserve, "cuMemAddressReserve");
    look_up(unreserve, "cuMemAddressFree");
    look_up(create, "cuMemCreate");
    look_up(release, "cuMemRelease");
    look_up(map, "cuMemMap");
    look_up(unmap, "cuMemUnmap");
    look_up(set_access, "cuMemSetAccess");
  }
  PFN_cuMemGetAllocationGranularity_v10020 get_granularity;
  PFN_cuMemAddressReserve_v10020 reserve;
  PFN_cuMemAddressFree_v10020 unreserve;
  PFN_cuMemCreate_v10020 create;
  PFN_cuMemRelease_v10020 release;
  PFN_cuMemMap_v10020 map;
  PFN_cuMemUnmap_v10020 unmap;
  PFN_cuMemSetAccess_v10020 set_access;
};

CudaArena::CudaArena(std::shared_ptr<Streams> streams) : streams_(std::move(streams)) {
  const int ordinal = streams_->ordinal;
  DeviceGuard guard(ordinal);
  check(cudaFree(nullptr), "arena");  // makes the context that the driver's functions need
  api_ = std::make_unique<VirtualMemoryApi>();
  properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties_.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties_.location.id = ordinal;
  check(api_->get_granularity(&granularity_, &properties_, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
        "cuMemGetAllocationGranularity");
  reserve();
}

void CudaArena::reserve() {
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  reserved_ = round_up(total_bytes, granularity_);
  check(api_->reserve(&base_, reserved_, 0, 0, 0), "cuMemAddressReserve");
}

CudaArena::~CudaArena() {
  if (!base_) return;
  (void)cudaSetDevice(streams_->ordinal);
  finish_device();
  CUdeviceptr at = base_;
  for (const size_t bytes : pieces_) {
    (void)api_->unmap(at, bytes);  // the memory goes with its mapping
    at += bytes;
  }
  (void)api_->unreserve(base_, reserved_);
  streams_->memory.give_back(mapped_);
}

void CudaArena::grow(size_t bytes) {
  if (bytes <= mapped_) return;
  const size_t more = round_up(bytes - mapped_, granularity_);
  if (more > reserved_ - mapped_)
    throw ResourceExhausted("arena: gpu:{} has {} bytes; want {}", streams_->index, reserved_,
                            bytes);
  if (!streams_->memory.take(more)) throw exhausted(more);
  try {
    map(more);
  } catch (const Error&) {
    streams_->memory.give_back(more);
    throw;
  }
}

Error CudaArena::exhausted(size_t bytes) const {
  return ResourceExhausted("arena: gpu:{} has no {} bytes left beside the arena's {}{}",
                           streams_->index, bytes, mapped_, streams_->memory.to_text());
}

CUmemGenericAllocationHandle CudaArena::take(size_t bytes) {
  CUmemGenericAllocationHandle memory = 0;
  const CUresult status = take_or_trim(*streams_, CUDA_ERROR_OUT_OF_MEMORY, [&] {
    return api_->create(&memory, bytes, &properties_, 0);
  });
  if (status == CUDA_ERROR_OUT_OF_MEMORY) throw exhausted(bytes);
  check(status, "cuMemCreate");
  return memory;
}

void CudaArena::map(size_t bytes) {
  DeviceGuard guard(streams_->ordinal);
  const CUmemGenericAllocationHandle memory = take(bytes);
  const CUresult mapped = api_->map(base_ + mapped_, bytes, 0, memory, 0);
  (void)api_->release(memory);  // the mapping keeps it
  check(mapped, "cuMemMap");
  CUmemAccessDesc access = {};
  access.location = properties_.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUresult accessible = api_->set_access(base_ + mapped_, bytes, &access, 1);
  if (accessible != CUDA_SUCCESS) (void)api_->unmap(base_ + mapped_, bytes);
  check(accessible, "cuMemSetAccess");
  mapped_ += bytes;
  pieces_.push_back(bytes);
}

}  // namespace cohort::cuda
