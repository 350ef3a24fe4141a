#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "cohort/checkpoint/storage.h"
#include "cohort/core/chrono.h"

namespace cohort::checkpoint {

/// Who holds a directory, as its file "lock" says.
struct LockHolder {
  std::string host;
  std::string boot_id;  ///< of the host's kernel, new at each start of the machine
  int64_t pid = 0;
  std::string started;  ///< the process, in the kernel's ticks: process_start()
  std::string job;      ///< empty: none
  uint64_t renewals = 0;

  /// This process.
  static LockHolder here(std::string job);
  bool operator==(const LockHolder&) const = default;
};

std::string serialize(const LockHolder& holder);
/// Nothing where the text is not a holder's: being written, or damaged.
std::optional<LockHolder> parse_lock_holder(std::string_view text);

struct LockOptions {
  /// The job that this process belongs to; a process of the same job takes a lock over at once.
  std::string job = "";
  std::chrono::milliseconds renew_every = std::chrono::seconds(4);
  /// A holder that has not renewed for so long is taken for dead.
  std::chrono::milliseconds falls_after = std::chrono::seconds(15);
};

/// The right to write in a directory: one process has it at a time. It is taken from a holder of
/// the same job at once; of the same host and boot when the holder's process has ended; of others
/// after falls_after without renewal, for which the constructor waits. A thread renews it.
class DirectoryLock {
 public:
  /// Throws FailedPrecondition, naming the holder, where another one lives.
  DirectoryLock(std::shared_ptr<Storage> storage, std::string directory, LockOptions options = {});
  /// Gives the directory free.
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

  /// Throws Aborted, naming who has it, when somebody has taken the lock over. Before each write
  /// that others can see.
  void check() const;

 private:
  bool take(const LockHolder& seen);
  bool create();
  void remove_leftovers() const;
  std::optional<std::string> read() const;
  void write(const std::string& path, std::string_view text) const;
  void renew_until_stopped();
  void renew();

  std::shared_ptr<Storage> storage_;
  std::string directory_, path_;
  LockOptions options_;
  mutable std::mutex mutex_;
  LockHolder mine_;  ///< guarded by mutex_, as what follows
  bool stop_ = false;
  std::condition_variable stopped_;
  std::thread renewing_;
};

/// A lock that is taken when it is needed first, and kept.
struct KeptLock {
  LockOptions options = {};
  std::optional<DirectoryLock> lock = {};
};

}  // namespace cohort::checkpoint
