#pragma once

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "cohort/cluster/key_value_store.h"

namespace cohort::test {

/// A store for processes of one host: a file for each key in `folder`, which is there already.
class FolderStore final : public cluster::KeyValueStore {
 public:
  explicit FolderStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void insert(const std::string& key, const std::string& value) override {
    static std::atomic<int> count{0};
    const std::string name = fmt::format("draft-{}-{}", getpid(), count++);
    const std::filesystem::path draft = folder_ / name;
    std::ofstream(draft, std::ios::binary) << value;
    std::error_code error;
    std::filesystem::create_hard_link(draft, file(key), error);
    std::filesystem::remove(draft);
    if (error) throw AlreadyExists("store: {}: {}", key, error.message());
  }
  std::string get(const std::string& key, std::chrono::milliseconds timeout) override {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (true) {
      if (auto value = try_get(key)) return *value;
      if (std::chrono::steady_clock::now() > deadline) throw DeadlineExceeded("store: {}", key);
      sched_yield();
    }
  }
  std::optional<std::string> try_get(const std::string& key) override {
    std::ifstream in(file(key), std::ios::binary);
    if (!in) return {};
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  std::optional<Error> error() const override { return {}; }  // nobody can fail
  int watch(std::function<void(const Error&)>) override { return 0; }
  void unwatch(int) override {}

 private:
  std::filesystem::path file(std::string key) const {
    for (char& c : key)
      if (c == '/') c = '+';
    return folder_ / key;
  }
  const std::filesystem::path folder_;
};

}  // namespace cohort::test
