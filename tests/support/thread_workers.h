#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cohort/core/error.h"
#include "cohort/distribute/workers.h"

namespace cohort::testing {

/// Where workers that are threads of one process meet.
class Meeting {
 public:
  explicit Meeting(int count) : count_(static_cast<size_t>(count)) {}

  std::vector<std::string> meet(size_t worker, const std::string& mine) {
    std::unique_lock lock(mutex_);
    const size_t round = calls_[worker]++;
    std::map<size_t, std::string>& values = rounds_[round];
    values[worker] = mine;
    changed_.notify_all();
    if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return values.size() == count_; }))
      throw DeadlineExceeded("meeting: got {} of {} workers", values.size(), count_);
    std::vector<std::string> all;
    for (const auto& [who, value] : values) all.push_back(value);
    return all;
  }

 private:
  const size_t count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, size_t> calls_;                          // guarded by mutex_
  std::map<size_t, std::map<size_t, std::string>> rounds_;  // guarded by mutex_
};

class ThreadWorkers final : public distribute::Workers {
 public:
  ThreadWorkers(Meeting& meeting, int count, int index)
      : meeting_(meeting), count_(count), index_(index) {}
  int count() const override { return count_; }
  int index() const override { return index_; }
  using Workers::all_gather;
  std::vector<std::string> all_gather(std::string_view, std::string_view mine) override {
    return meeting_.meet(static_cast<size_t>(index_), std::string(mine));
  }

 private:
  Meeting& meeting_;
  int count_, index_;
};

}  // namespace cohort::testing
