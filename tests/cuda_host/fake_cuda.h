#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

/// What stands in for CUDA's libraries in these tests: streams run what they get at once, in host
/// memory, unless they are stalled, and devices have as little memory as a test wants.
namespace cohort::testing {

struct FakeCuda {
  struct Device {
    std::string name = "Fake H100";
    int major = 9, minor = 0;
    cudaComputeMode mode = cudaComputeModeDefault;
    size_t total_bytes = size_t{256} << 20;
    size_t used_bytes = 0;    ///< by arenas and allocations
    size_t pooled_bytes = 0;  ///< freed, and kept by the pool
    bool kernels_run = true;
  };

  std::vector<Device> devices = std::vector<Device>(1);
  cudaError_t count_status = cudaSuccess;
  int driver_version = 13000, runtime_version = 13000;
  std::set<int> contexts;                           ///< of devices that were used
  std::atomic<bool> stalled = false;                ///< queries say that there is work
  std::atomic<int> blocking_waits = 0;              ///< Synchronize calls: these return at once
  std::atomic<unsigned long long> graph_flags = 0;  ///< of the last instantiated graph
  size_t graph_nodes = 1;                           ///< of every captured graph
  std::atomic<int> graph_launches = 0;
  std::map<void*, size_t> sizes;  ///< of the pool's allocations; guarded by mutex
  std::mutex mutex;
};

/// Of the test under way.
FakeCuda& fake_cuda();
/// As new.
void reset_fake_cuda();

}  // namespace cohort::testing
