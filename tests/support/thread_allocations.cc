#include "tests/support/thread_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

// Counts operator new. A tensor made by our code cannot come without it: its storage is shared.
namespace {
thread_local int64_t allocations = 0;
std::atomic<int64_t> all{0};

void* counted_or_null(std::size_t bytes) noexcept {
  ++allocations;
  all.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(bytes > 0 ? bytes : 1);
}

void* counted(std::size_t bytes) {
  if (void* memory = counted_or_null(bytes)) return memory;
  throw std::bad_alloc();
}
}  // namespace

int64_t cohort::test::thread_allocations() { return allocations; }
int64_t cohort::test::all_allocations() { return all.load(); }

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
// std::stable_sort takes its buffer from these.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_null(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_null(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
