#include "cohort/core/runtime/cpu_device.h"

#include <omp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "cohort/core/runtime/memory_plan.h"
#include "cohort/core/system.h"

namespace cohort {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kRest = size_t{64} << 20;  // addresses for the program beside an arena

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// First touch of 4 KiB pages costs more than the arithmetic of a small step, hence huge pages.
void* map_pages(size_t bytes, int protection) {
  void* data = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    throw ResourceExhausted("cpu memory: got no {} bytes from the system: {}", bytes,
                            system_reason(errno));
  return data;
}

std::shared_ptr<void> allocate_pages(size_t bytes) {
  const size_t usable = round_up(bytes, kHugePage);
  const size_t mapped = usable + kHugePage;
  char* base = static_cast<char*>(map_pages(mapped, PROT_READ | PROT_WRITE));
  char* aligned = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(base), kHugePage));
  madvise(aligned, usable, MADV_HUGEPAGE);
  return std::shared_ptr<void>(aligned, [base, mapped](void*) { munmap(base, mapped); });
}

class CpuArena : public Device::Arena {
 public:
  ~CpuArena() override {
    if (mapping_) munmap(mapping_, reserved_ + kHugePage);
  }

  void* base() const override { return base_; }
  size_t bytes() const override { return bytes_; }

  void grow(size_t bytes) override {
    if (bytes <= bytes_) return;
    const size_t wanted = round_up(bytes, kHugePage);
    if (!mapping_) reserve(wanted);
    if (wanted > reserved_)
      throw ResourceExhausted("cpu arena: got a need of {} bytes; want at most the {} reserved{}",
                              wanted, reserved_, limit_text());
    if (mprotect(base_ + bytes_, wanted - bytes_, PROT_READ | PROT_WRITE) != 0)
      throw ResourceExhausted("cpu arena: got no memory to grow from {} to {} bytes: {}", bytes_,
                              wanted, system_reason(errno));
    madvise(base_ + bytes_, wanted - bytes_, MADV_HUGEPAGE);
    std::memset(base_ + bytes_, 0, wanted - bytes_);  // fault the pages in now, not inside a step
    bytes_ = wanted;
  }

 private:
  /// No plan can need more than the machine has. Under a limit of addresses the rest of the program
  /// needs some too: a quarter is for the arena, unless its first plan takes more, and kRest is
  /// left.
  void reserve(size_t wanted) {
    const size_t most = round_up(
        static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE)),
        kHugePage);
    const std::optional<uint64_t> limit = resource_limit(RLIMIT_AS);
    const size_t rest = limit ? kRest : 0;
    reserved_ = std::max(wanted, limit ? std::min(most, round_up(*limit / 4, kHugePage)) : most);
    while (!mapping_) {
      try {
        mapping_ = map_pages(reserved_ + kHugePage + rest, PROT_NONE);
      } catch (const Error&) {
        if (reserved_ == wanted) throw;
        reserved_ = std::max(round_up(reserved_ / 2, kHugePage), wanted);
      }
    }
    if (rest > 0) munmap(static_cast<char*>(mapping_) + reserved_ + kHugePage, rest);
    base_ = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(mapping_), kHugePage));
  }

  static std::string limit_text() {
    const std::optional<uint64_t> limit = resource_limit(RLIMIT_AS);
    return limit ? fmt::format(" (RLIMIT_AS is {} bytes)", *limit) : "";
  }

  size_t reserved_ = 0;
  void* mapping_ = nullptr;
  char* base_ = nullptr;
  size_t bytes_ = 0;
};

/// Denormals make dead inputs' optimizer slots several times slower; results that small mean zero
/// here.
void flush_denormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);  // FTZ | DAZ
#endif
}

class CpuDevice : public Device {
 public:
  CpuDevice(int index, int num_threads) : num_threads_(num_threads) {
    name_.job = "localhost";
    name_.replica = 0;
    name_.task = 0;
    name_.type = DeviceType::kCPU;
    name_.index = index;
  }

  const DeviceName& name() const override { return name_; }
  Arena& arena() override { return arena_; }
  int num_threads() const override { return num_threads_; }

  std::shared_ptr<void> allocate(size_t bytes) override {
    if (bytes >= kHugePage) return allocate_pages(bytes);
    const size_t padded = round_up(bytes == 0 ? 1 : bytes, kWorkspaceAlignment);
    void* data = std::aligned_alloc(kWorkspaceAlignment, padded);
    if (!data)
      throw ResourceExhausted("cpu memory: got no {} bytes from the system: {}", bytes,
                              system_reason(ENOMEM));
    std::memset(data, 0, padded);
    return std::shared_ptr<void>(data, [](void* p) { std::free(p); });
  }

  void copy_from_host(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void copy_from_device(void* to, Device& source, const void* from, size_t bytes) override {
    if (bytes > 0) source.copy_to_host(to, from, bytes);
  }
  void synchronize() override {}

  void bind_thread() override {
    thread_local int bound_threads = 0;  // devices of equal teams bind a thread alike
    if (bound_threads == num_threads_) return;
    bound_threads = num_threads_;
    omp_set_num_threads(num_threads_);
    flush_denormals();
#pragma omp parallel num_threads(num_threads_)
    flush_denormals();
  }

 private:
  DeviceName name_;
  int num_threads_;
  CpuArena arena_;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device(int index, int num_threads) {
  return std::make_unique<CpuDevice>(index, num_threads);
}

int num_cpu_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

}  // namespace cohort
