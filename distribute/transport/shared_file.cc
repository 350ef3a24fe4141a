#include "cohort/distribute/transport/shared_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>

#include "cohort/core/system.h"

namespace cohort::distribute {
namespace {

constexpr uint64_t kFileBytes = uint64_t{1} << 46;  // sparse
constexpr int kCollapse = 25;                       // MADV_COLLAPSE, newer than the C library

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Makes huge pages of the mapping. Shared memory gets none by itself, and the call wants a page in
/// each. Where it fails the small ones serve.
void use_huge_pages(char* data, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kHugePage)
    static_cast<void>(*static_cast<volatile char*>(data + at));
  madvise(data, bytes, kCollapse);
}

}  // namespace

SharedFile SharedFile::create(const char* label) {
  FileDescriptor fd(memfd_create(label, MFD_CLOEXEC));
  if (!fd) throw ResourceExhausted("shared memory: memfd_create: {}", system_reason(errno));
  // Beyond the limit the system would end the process with SIGXFSZ.
  uint64_t bytes = std::min(kFileBytes, resource_limit(RLIMIT_FSIZE).value_or(kFileBytes));
  bytes -= bytes % kHugePage;
  while (bytes > 0 && ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) bytes /= 2;
  if (bytes < kHugePage)
    throw ResourceExhausted("shared memory: got no file that is large enough: {}; want {} bytes",
                            system_reason(EFBIG), 64 * kHugePage);
  return SharedFile(std::move(fd));
}

SharedFile::SharedFile(FileDescriptor fd) : fd_(std::move(fd)) {
  struct stat status {};
  if (fstat(fd_.get(), &status) == 0) bytes_ = static_cast<uint64_t>(status.st_size);
}

std::shared_ptr<char> SharedFile::map(uint64_t offset, size_t bytes) const {
  const bool huge = bytes >= kHugePage;
  const size_t usable = round_up(bytes, huge ? kHugePage : kSmallPage);
  const size_t reserved = huge ? usable + kHugePage : usable;
  if (offset + usable > bytes_)
    throw ResourceExhausted(
        "shared memory: got a need of {} bytes in a file of {}: {} in the process that made it",
        offset + usable, bytes_, system_reason(EFBIG));
  void* base =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED)
    throw ResourceExhausted("shared memory: got no {} bytes of addresses: {}", reserved,
                            system_reason(errno));
  char* data = static_cast<char*>(base);
  if (huge) data = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(base), kHugePage));
  if (mmap(data, usable, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd_.get(),
           static_cast<off_t>(offset)) == MAP_FAILED) {
    const int reason = errno;
    munmap(base, reserved);
    throw ResourceExhausted("shared memory: got no {} bytes: {}", bytes, system_reason(reason));
  }
  if (huge) use_huge_pages(data, usable);
  return std::shared_ptr<char>(data, [base, reserved](char*) { munmap(base, reserved); });
}

void SharedFile::discard(uint64_t offset, size_t bytes) const {
  fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(bytes));
}

struct SharedHeap::State {
  struct Block {
    uint64_t offset;
    size_t bytes;
    bool left = false;  ///< as below
  };
  mutable std::mutex mutex;
  std::map<const char*, Block> blocks;  // guarded by mutex, by address
  uint64_t used = 0;                    // guarded by mutex
  bool left = false;                    // guarded by mutex; what is freed is not discarded
};

SharedHeap::SharedHeap()
    : file_(SharedFile::create("cohort-buckets")), state_(std::make_unique<State>()) {}
SharedHeap::~SharedHeap() = default;

std::shared_ptr<void> SharedHeap::allocate(size_t bytes) {
  const size_t unit = bytes >= kHugePage ? kHugePage : kSmallPage;
  const size_t usable = round_up(bytes == 0 ? 1 : bytes, unit);
  uint64_t offset = 0;
  {
    const std::lock_guard lock(state_->mutex);
    offset = round_up(state_->used, unit);
    state_->used = offset + usable;
  }
  std::shared_ptr<char> mapping = file_.map(offset, usable);
  char* data = mapping.get();
  const std::lock_guard lock(state_->mutex);
  state_->blocks[data] = {offset, usable, false};
  return std::shared_ptr<void>(
      data, [heap = shared_from_this(), mapping = std::move(mapping), offset, usable](void* p) {
        const std::lock_guard lock(heap->state_->mutex);
        const auto block = heap->state_->blocks.extract(static_cast<const char*>(p));
        if (!heap->state_->left && !block.mapped().left) heap->file_.discard(offset, usable);
      });
}

void SharedHeap::leave_to_others() {
  const std::lock_guard lock(state_->mutex);
  state_->left = true;
}

void SharedHeap::leave_to_others(const void* data) {
  const std::lock_guard lock(state_->mutex);
  const auto behind = state_->blocks.upper_bound(static_cast<const char*>(data));
  if (behind != state_->blocks.begin()) std::prev(behind)->second.left = true;
}

uint64_t SharedHeap::offset_of(const void* data, size_t bytes) const {
  const char* begin = static_cast<const char*>(data);
  const std::lock_guard lock(state_->mutex);
  auto it = state_->blocks.upper_bound(begin);
  if (it == state_->blocks.begin()) return kNowhere;
  --it;
  const auto inside = static_cast<size_t>(begin - it->first);
  if (inside + bytes > it->second.bytes) return kNowhere;
  return it->second.offset + inside;
}

}  // namespace cohort::distribute
