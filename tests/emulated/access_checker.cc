#include "tests/emulated/access_checker.h"

#include <link.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/emulated/include/cuda_runtime.h"

namespace cohort::emulated {
namespace {

constexpr uint32_t kWarp = 32;

struct Range {
  uintptr_t begin = UINTPTR_MAX, end = 0;
  void include(uintptr_t from, uintptr_t to) {
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
};
struct Program {
  Range all, writable;
};

// This program's memory. What is writable only while it is loaded is not counted as writable.
Program find_program() {
  Program program;
  const auto visit = [](dl_phdr_info* info, size_t, void* to) {
    Program& found = *static_cast<Program*>(to);
    uintptr_t read_only_end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& part = info->dlpi_phdr[i];
      const uintptr_t begin = info->dlpi_addr + part.p_vaddr;
      const uintptr_t end = begin + part.p_memsz;
      if (part.p_type == PT_GNU_RELRO) read_only_end = end;
      if (part.p_type != PT_LOAD) continue;
      found.all.include(begin, end);
      if (part.p_flags & PF_W) found.writable.include(begin, end);
    }
    if (read_only_end > found.writable.begin) found.writable.begin = read_only_end;
    return 1;  // the first is the program
  };
  dl_iterate_phdr(visit, &program);
  return program;
}

template <class T>
T* zeroed(size_t count) {
  void* memory = mmap(nullptr, std::max<size_t>(count, 1) * sizeof(T), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<T*>(memory);
}

bool within(uintptr_t at, size_t bytes, uintptr_t begin, size_t size) {
  return at >= begin && at - begin + bytes <= size;
}

}  // namespace

thread_local const Actor* AccessChecker::actor_ = nullptr;

AccessChecker& AccessChecker::instance() {
  static AccessChecker& checker = *new AccessChecker;
  return checker;
}

AccessChecker::AccessChecker() : last_(pieces_.end()) {
  const Program program = find_program();
  program_begin_ = program.all.begin;
  program_end_ = program.all.end;
  const size_t bytes = program.writable.end - program.writable.begin;
  pieces_[program.writable.begin] = {bytes, zeroed<Cell>(bytes), true};
}

void AccessChecker::add_device_memory(const void* begin, size_t bytes) {
  pieces_[reinterpret_cast<uintptr_t>(begin)] = {bytes, zeroed<Cell>(bytes), false};
}

void AccessChecker::remove_device_memory(const void* begin) {
  const auto it = pieces_.find(reinterpret_cast<uintptr_t>(begin));
  if (it == pieces_.end()) return;
  munmap(it->second.cells, std::max<size_t>(it->second.bytes, 1) * sizeof(Cell));
  pieces_.erase(it);
  last_ = pieces_.end();
}

bool AccessChecker::is_device_memory(const void* begin, size_t bytes) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(begin);
  auto it = find(at);
  // Pieces that touch are one: an arena grows by such.
  while (it != pieces_.end() && !it->second.shared) {
    const uintptr_t end = it->first + it->second.bytes;
    if (at + bytes <= end) return true;
    if (++it == pieces_.end() || it->first != end) return false;
  }
  return false;
}

AccessChecker::Pieces::iterator AccessChecker::find(uintptr_t at) {
  if (last_ != pieces_.end() && within(at, 1, last_->first, last_->second.bytes)) return last_;
  auto it = pieces_.upper_bound(at);
  if (it == pieces_.begin()) return pieces_.end();
  --it;
  if (!within(at, 1, it->first, it->second.bytes)) return pieces_.end();
  return last_ = it;
}

void AccessChecker::begin_grid(int threads_per_block, const void* parameters,
                               size_t parameter_bytes) {
  block_size_ = static_cast<uint32_t>(threads_per_block);
  parameters_ = reinterpret_cast<uintptr_t>(parameters);
  parameter_bytes_ = parameter_bytes;
  grid_epoch_ = ++epoch_;
  found_.clear();
}

void AccessChecker::begin_block() { block_epoch_ = ++epoch_; }

void AccessChecker::set_actor(const Actor* actor) {
  if (overwrite_.bytes > 0) settle();
  actor_ = actor;
}

void AccessChecker::report(std::string finding) {
  if (found_.empty()) found_ = std::move(finding);
}

bool AccessChecker::is_exempt(uintptr_t at, size_t bytes, bool write) const {
  if (within(at, bytes, actor_->stack, actor_->stack_bytes)) return true;
  if (write) return false;
  return within(at, bytes, parameters_, parameter_bytes_) ||
         within(at, bytes, reinterpret_cast<uintptr_t>(&here), sizeof here);
}

void AccessChecker::access(uintptr_t at, size_t bytes, bool write, const void* code) {
  if (!actor_ || !found_.empty()) return;
  if (overwrite_.bytes > 0) settle();
  if (is_exempt(at, bytes, write)) return;
  const auto it = find(at);
  if (it == pieces_.end()) {
    if (write || at < program_begin_ || at >= program_end_)
      report(sentence(std::string(write ? "writes" : "reads") + " memory that is not the device's",
                      at, code));
    return;
  }
  const Piece& piece = it->second;
  const size_t count = std::min(bytes, it->first + piece.bytes - at);
  for (size_t i = 0; i < count; ++i) {
    Cell& cell = piece.cells[at - it->first + i];
    if (write)
      check_write(cell, piece.shared, at, bytes, code);
    else
      check_read(cell, piece.shared, at, code);
  }
}

bool AccessChecker::is_current(const Touch& touch, bool shared) const {
  return touch.epoch >= (shared ? block_epoch_ : grid_epoch_);
}

// Nothing orders the touch before what the actor does now.
bool AccessChecker::conflicts(const Touch& touch, Readers readers, bool shared) const {
  if (!is_current(touch, shared)) return false;
  if (readers == Readers::kGrid) return true;
  if (touch.number == actor_->number && readers == Readers::kOne) return false;
  if (touch.number / block_size_ != actor_->number / block_size_) return true;
  if (touch.epoch < epoch_) return false;
  const bool same_warp = touch.number % block_size_ / kWarp == actor_->number % block_size_ / kWarp;
  return !same_warp || readers == Readers::kBlock || touch.warp_epoch >= actor_->warp_epoch;
}

void AccessChecker::check_read(Cell& cell, bool shared, uintptr_t at, const void* code) {
  if (shared && !is_current(cell.write, shared))
    report(sentence("reads shared memory that no thread of its block has written", at, code));
  if (conflicts(cell.write, Readers::kOne, shared))
    report(sentence("reads what thread " + std::to_string(cell.write.number) +
                        " of the grid writes, in no order",
                    at, code));
  const Touch mine = {epoch_, actor_->warp_epoch, actor_->number};
  const bool beside = is_current(cell.read, shared) &&
                      (cell.readers == Readers::kGrid || cell.read.number != mine.number);
  Readers readers = Readers::kOne;
  if (beside) {
    if (cell.readers == Readers::kGrid ||
        cell.read.number / block_size_ != mine.number / block_size_)
      readers = Readers::kGrid;
    else if (cell.read.epoch == epoch_)
      readers = cell.readers != Readers::kBlock &&
                        cell.read.number % block_size_ / kWarp == mine.number % block_size_ / kWarp
                    ? Readers::kWarp
                    : Readers::kBlock;
  } else if (is_current(cell.read, shared) && cell.read.epoch == epoch_) {
    readers = cell.readers;
  }
  cell.read = mine;
  cell.readers = readers;
}

void AccessChecker::check_write(Cell& cell, bool shared, uintptr_t at, size_t bytes,
                                const void* code) {
  if (conflicts(cell.read, cell.readers, shared))
    report(sentence("writes what thread " + std::to_string(cell.read.number) +
                        " of the grid reads, in no order",
                    at, code));
  if (conflicts(cell.write, Readers::kOne, shared) && overwrite_.bytes == 0) {
    overwrite_.at = at;
    overwrite_.bytes = std::min(bytes, overwrite_.before.size());
    std::memcpy(overwrite_.before.data(), reinterpret_cast<const void*>(at), overwrite_.bytes);
    overwrite_.writer = cell.write.number;
    overwrite_.code = code;
  }
  cell.write = {epoch_, actor_->warp_epoch, actor_->number};
}

void AccessChecker::settle() {
  const void* now = reinterpret_cast<const void*>(overwrite_.at);
  if (std::memcmp(now, overwrite_.before.data(), overwrite_.bytes) != 0)
    report(sentence("writes otherwise what thread " + std::to_string(overwrite_.writer) +
                        " of the grid writes, in no order",
                    overwrite_.at, overwrite_.code));
  overwrite_.bytes = 0;
}

std::string AccessChecker::sentence(const std::string& what, uintptr_t at, const void* code) const {
  char place[512] = "";
  __sanitizer_symbolize_pc(const_cast<void*>(code), "%S", place, sizeof place);
  const char* slash = std::strrchr(place, '/');
  char address[32];
  std::snprintf(address, sizeof address, "0x%zx", static_cast<size_t>(at));
  return std::string(slash ? slash + 1 : place) + ": thread " + std::to_string(actor_->number) +
         " of the grid " + what + " (" + address + ")";
}

}  // namespace cohort::emulated

namespace {

void check(uintptr_t at, size_t bytes, bool write, const void* code);

}  // namespace

// The address sanitizer's checks, for the code that calls them.
extern "C" {
void __asan_report_load_n(uintptr_t at, size_t bytes);
void __asan_report_store_n(uintptr_t at, size_t bytes);

void __asan_load1(uintptr_t at) { check(at, 1, false, __builtin_return_address(0)); }
void __asan_load2(uintptr_t at) { check(at, 2, false, __builtin_return_address(0)); }
void __asan_load4(uintptr_t at) { check(at, 4, false, __builtin_return_address(0)); }
void __asan_load8(uintptr_t at) { check(at, 8, false, __builtin_return_address(0)); }
void __asan_load16(uintptr_t at) { check(at, 16, false, __builtin_return_address(0)); }
void __asan_loadN(uintptr_t at, size_t bytes) {
  check(at, bytes, false, __builtin_return_address(0));
}
void __asan_store1(uintptr_t at) { check(at, 1, true, __builtin_return_address(0)); }
void __asan_store2(uintptr_t at) { check(at, 2, true, __builtin_return_address(0)); }
void __asan_store4(uintptr_t at) { check(at, 4, true, __builtin_return_address(0)); }
void __asan_store8(uintptr_t at) { check(at, 8, true, __builtin_return_address(0)); }
void __asan_store16(uintptr_t at) { check(at, 16, true, __builtin_return_address(0)); }
void __asan_storeN(uintptr_t at, size_t bytes) {
  check(at, bytes, true, __builtin_return_address(0));
}
}

namespace {

void check(uintptr_t at, size_t bytes, bool write, const void* code) {
  if (__asan_region_is_poisoned(reinterpret_cast<void*>(at), bytes))
    write ? __asan_report_store_n(at, bytes) : __asan_report_load_n(at, bytes);
  cohort::emulated::AccessChecker::instance().access(at, bytes, write, code);
}

}  // namespace
