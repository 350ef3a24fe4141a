#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "cohort/core/chrono.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

/// Where the tasks of a job tell each other small things: addresses, names of shared memory,
/// hashes. A key is written once. Keys are paths: "/a//b/" is "a/b". Thread-safe.
class KeyValueStore {
 public:
  virtual ~KeyValueStore() = default;

  /// Throws AlreadyExists when the key is there, InvalidArgument for an empty key, Unavailable when
  /// the store is gone.
  virtual void insert(const std::string& key, const std::string& value) = 0;
  /// Waits until the key is there. Throws DeadlineExceeded naming the key; Unavailable, or the
  /// error that the job failed with, as soon as it fails.
  virtual std::string get(const std::string& key, std::chrono::milliseconds timeout) = 0;
  virtual std::optional<std::string> try_get(const std::string& key) = 0;

  /// What the job that the store belongs to has failed with. There before any call throws it.
  /// Cheap; may be polled in a wait.
  virtual std::optional<Error> error() const = 0;
  /// Calls `handler` once when the job fails (at once if it has failed already), from any thread.
  /// The handler must not block, and calls nothing of this store. Returns what unwatch takes.
  virtual int watch(std::function<void(const Error&)> handler) = 0;
  /// When it returns the handler is not running and will not run.
  virtual void unwatch(int watch) = 0;
};

/// A store in this process. The leader of a cluster serves it to the others.
class LocalKeyValueStore final : public KeyValueStore {
 public:
  void insert(const std::string& key, const std::string& value) override;
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override;
  std::optional<std::string> try_get(const std::string& key) override;
  std::optional<Error> error() const override;
  int watch(std::function<void(const Error&)> handler) override;
  void unwatch(int watch) override;

  /// Ends every wait with `error`; later calls throw it too.
  void fail(const Error& error);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> values_;  // guarded by mutex_, as all below
  std::optional<Error> error_;
  std::map<int, std::function<void(const Error&)>> watches_;
  int last_watch_ = 0;
};

/// "/a//b/" as "a/b". Throws InvalidArgument when nothing is left.
std::string normalize_key(const std::string& key);

}  // namespace cohort::cluster
