#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cohort/distribute/transport/file_descriptor.h"

namespace cohort::distribute {

inline constexpr size_t kSmallPage = size_t{4} << 10;
inline constexpr size_t kHugePage = size_t{2} << 20;

/// Memory that processes map together. It has no name in the file system and ends with its last
/// user, however that one ends. Sparse: what nobody touched takes no memory and reads as zeros.
class SharedFile {
 public:
  SharedFile() = default;
  /// A new file, larger than anybody needs, or as large as RLIMIT_FSIZE allows. `label` is seen in
  /// /proc. Throws ResourceExhausted naming the limit.
  static SharedFile create(const char* label);
  /// One that a peer made.
  explicit SharedFile(FileDescriptor fd);

  int fd() const { return fd_.get(); }

  /// The bytes from `offset` (a multiple of kSmallPage; of kHugePage where `bytes` has at least
  /// that many) on, readable and writable, until the last owner goes. Huge pages where the system
  /// has them. Throws ResourceExhausted, naming the limit of file size or memory behind it.
  std::shared_ptr<char> map(uint64_t offset, size_t bytes) const;
  /// Gives the memory of these bytes back; they read as zeros from now on.
  void discard(uint64_t offset, size_t bytes) const;

 private:
  FileDescriptor fd_;
  uint64_t bytes_ = 0;
};

/// Where ranks of one process take memory that the other processes of the host can map.
class SharedHeap : public std::enable_shared_from_this<SharedHeap> {
 public:
  SharedHeap();
  ~SharedHeap();

  const SharedFile& file() const { return file_; }
  /// Zeroed, aligned to a page. Thread-safe; may be freed by any thread, after the heap as well.
  std::shared_ptr<void> allocate(size_t bytes);
  /// Where [data, data + bytes) lies in file(); kNowhere when it is no memory of this heap.
  uint64_t offset_of(const void* data, size_t bytes) const;

  /// What is freed from now on stays with the peers that map it, until they end.
  void leave_to_others();
  /// The same of the block around `data`.
  void leave_to_others(const void* data);

  static constexpr uint64_t kNowhere = ~uint64_t{0};

 private:
  struct State;
  SharedFile file_;
  std::unique_ptr<State> state_;
};

}  // namespace cohort::distribute
