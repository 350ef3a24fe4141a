#pragma once

#include <gmock/gmock.h>

#include "cohort/cluster/coordinator.h"

#include "tests/support/expect_error.h"

namespace cohort::cluster {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

inline constexpr milliseconds kEndless = milliseconds::max();

inline Task worker(int index) { return {"worker", index}; }

// How one wait ended, if it has.
struct Outcome {
  bool done = false;
  std::optional<Error> error;
  std::string value;

  bool ok() const { return done && !error; }
  Code code() const { return error ? error->code() : Code{}; }
};

// A coordinator of N workers with a clock that the test moves.
class CoordinatorTest : public ::testing::Test {
 protected:
  explicit CoordinatorTest(int num_tasks = 3) {
    for (int i = 0; i < num_tasks; ++i) tasks_.push_back(worker(i));
    coordinator_ = std::make_unique<Coordinator>(
        Coordinator::Options{.tasks = tasks_,
                             .job_id = "job",
                             .version = "1",
                             .warn = [this](const std::string& line) { warnings_.push_back(line); },
                             .now = [this] { return now_; }});
    failures_.resize(tasks_.size());
    started_.resize(tasks_.size());
  }

  void come(int index, uint64_t incarnation = 0) {
    const auto i = static_cast<size_t>(index);
    coordinator_->register_task(
        {.task = worker(index),
         .incarnation = incarnation ? incarnation : 100 + i,
         .job_id = "job",
         .version = "1",
         .place = "host h" + std::to_string(index)},
        {.started = [this, i] { started_[i] = true; },
         .failed = [this, i](const Error& error) { failures_[i].push_back(error); }});
  }
  void all_come() {
    for (size_t i = 0; i < tasks_.size(); ++i) come(static_cast<int>(i));
  }
  void beat(int index) {
    coordinator_->heartbeat(worker(index), 100 + static_cast<uint64_t>(index));
  }

  // Time goes on as it does in a leader; these tasks beat, the others are silent.
  void pass(milliseconds time, std::vector<int> beating = {}) {
    for (milliseconds step(100); time.count() > 0; time -= step) {
      now_ += step;
      for (int index : beating)
        if (!coordinator_->error()) beat(index);
      coordinator_->tick();
    }
  }

  Done into(Outcome& outcome) {
    return [&outcome](const Error* error, const std::string& value) {
      EXPECT_FALSE(outcome.done) << "ended twice";
      outcome = {.done = true, .value = value};
      if (error) outcome.error = *error;
    };
  }
  void barrier(int index, Outcome& outcome, std::vector<int> participants = {},
               const std::string& name = "b", milliseconds timeout = milliseconds(2000)) {
    std::vector<Task> tasks;
    for (int i : participants) tasks.push_back(worker(i));
    coordinator_->barrier(worker(index), name, tasks, timeout, into(outcome));
  }

  std::vector<Task> tasks_;
  TimePoint now_{};
  std::vector<std::string> warnings_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<std::vector<Error>> failures_;
  std::vector<bool> started_;
};

}  // namespace cohort::cluster
