#pragma once

#include <sys/mman.h>

#include <cstring>
#include <new>

/// Private memory in huge pages, written once.
inline float* private_memory(size_t bytes) {
  constexpr size_t kHuge = size_t{2} << 20;
  const size_t mapped = (bytes + kHuge - 1) / kHuge * kHuge + kHuge;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  const size_t at = (reinterpret_cast<size_t>(base) + kHuge - 1) / kHuge * kHuge;
  madvise(reinterpret_cast<void*>(at), mapped - kHuge, MADV_HUGEPAGE);
  std::memset(reinterpret_cast<void*>(at), 0, mapped - kHuge);
  return reinterpret_cast<float*>(at);
}
