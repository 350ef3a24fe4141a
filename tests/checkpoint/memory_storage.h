#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cohort/checkpoint/storage.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint {

/// What the machine's end leaves of what was not synced.
enum class Loss {
  kNothing,   ///< all of it
  kUnsynced,  ///< nothing: neither bytes nor names
  kTorn,      ///< names, and half of the bytes
};

/// A file system in memory that counts its operations, and fails or stops at one of them. After a
/// stop every operation throws Cancelled until restart().
class MemoryStorage final : public Storage {
 public:
  /// Operation number `operation`, counted from 0 from now on, throws `error` instead.
  void fail_at(int operation, const Error& error);
  /// The machine stops instead of operation number `operation`.
  void stop_at(int operation);
  /// The machine starts again with what its disk has.
  void restart(Loss loss);
  /// Those that change something.
  int operations() const { return count_; }
  const std::string& last_operation() const { return last_; }

  /// The bytes of a file, to be damaged.
  std::string& bytes(const std::string& path);

  std::unique_ptr<OutputFile> create(const std::string& path) override;
  std::unique_ptr<InputFile> open(const std::string& path) override;
  void make_directory(const std::string& path) override;
  std::vector<std::string> list(const std::string& path) override;
  bool exists(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove_file(const std::string& path) override;
  void remove_directory(const std::string& path) override;
  void sync_directory(const std::string& path) override;

  struct Node {
    bool is_directory = false;
    std::string bytes = {};
    size_t synced = 0;
    std::map<std::string, std::shared_ptr<Node>> names = {}, synced_names = {};
  };
  /// Counts an operation; throws where it is to fail.
  void operate(std::string what);

 private:
  std::shared_ptr<Node> find(const std::string& path);
  std::shared_ptr<Node> require(const std::string& path);
  std::shared_ptr<Node> parent_of(const std::string& path);
  void check_running() const;

  std::shared_ptr<Node> root_ = std::make_shared<Node>(Node{.is_directory = true});
  int count_ = 0;
  std::string last_;
  int special_ = -1;
  std::optional<Error> error_;  ///< of operation special_; none: it stops
  bool stopped_ = false;
};

}  // namespace cohort::checkpoint
