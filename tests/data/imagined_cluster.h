#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cohort/data/input_pipeline.h"
#include "tests/data/support.h"

/// A cluster whose workers are threads of this process.
namespace cohort::data {

/// What a replica got at one step; what all replicas of a worker got; steps; workers.
using Step = Batches;
using Steps = std::vector<Step>;
using Cluster = std::vector<Steps>;

/// "Does any of n workers say so?", between threads.
class Vote {
 public:
  explicit Vote(int64_t num_workers) : num_workers_(num_workers) {}

  bool any(bool local) {
    std::unique_lock lock(mutex_);
    const int64_t round = round_;
    value_ = value_ || local;
    if (++num_votes_ == num_workers_) {
      result_ = value_;
      value_ = false;
      num_votes_ = 0;
      ++round_;
      all_voted_.notify_all();
    } else if (!all_voted_.wait_for(lock, std::chrono::seconds(20),
                                    [&] { return round_ != round; })) {
      throw DeadlineExceeded("vote {}: got {} of {} workers", round, num_votes_, num_workers_);
    }
    return result_;
  }

 private:
  const int64_t num_workers_;
  std::mutex mutex_;
  std::condition_variable all_voted_;
  int64_t round_ = 0;
  int64_t num_votes_ = 0;
  bool value_ = false;
  bool result_ = false;
};

/// Runs run(worker, vote) on a thread for every worker and returns their results.
template <class Run>
Cluster run_workers(int64_t num_workers, Run run) {
  Vote vote(num_workers);
  Cluster cluster(static_cast<size_t>(num_workers));
  std::vector<std::thread> threads;
  for (int64_t w = 0; w < num_workers; ++w)
    threads.emplace_back([&, w] {
      try {
        cluster[static_cast<size_t>(w)] = run(w, [&](bool local) { return vote.any(local); });
      } catch (const Error& error) {
        ADD_FAILURE() << "worker " << w << ": " << error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return cluster;
}

inline Steps steps_of(StepIterator& iterator, size_t component = 0) {
  Steps steps;
  while (const std::vector<Element>* elements = iterator.next()) {
    steps.emplace_back();
    for (const Element& element : *elements) steps.back().push_back(numbers_of(element[component]));
  }
  return steps;
}

struct Size {
  int64_t num_workers;
  int64_t replicas_per_worker = 1;
};

/// An epoch of `dataset` on a cluster. `knows_steps`: without a vote where the description allows.
inline Cluster distribute(const Dataset& dataset, const Size& size, bool knows_steps = false) {
  return run_workers(size.num_workers, [&](int64_t w, AnyWorker any) {
    const InputPipeline input =
        make_input_pipeline(dataset, {size.num_workers, w, size.replicas_per_worker});
    if (knows_steps && input.num_steps) any = [](bool) -> bool { throw Internal("vote: asked"); };
    if (size.num_workers == 1) any = nullptr;
    StepIterator iterator(input.dataset.prefetch(2),
                          {.replicas_per_worker = size.replicas_per_worker,
                           .any_worker = any,
                           .num_steps = knows_steps ? input.num_steps : std::optional<int64_t>()});
    return steps_of(iterator);
  });
}

/// One dataset for each worker, as it is.
inline Cluster from_function(const std::function<Dataset(int64_t)>& make, const Size& size) {
  return run_workers(size.num_workers, [&](int64_t w, AnyWorker any) {
    if (size.num_workers == 1) any = nullptr;
    StepIterator iterator(make(w),
                          {.replicas_per_worker = size.replicas_per_worker, .any_worker = any});
    return steps_of(iterator);
  });
}

inline Dataset with_policy(const Dataset& dataset, AutoShardPolicy policy) {
  return dataset.with_options({.auto_shard_policy = policy});
}

/// Every number that any replica got, in ascending order; all workers took equally many steps.
inline Numbers all_of(const Cluster& cluster) {
  Numbers all;
  for (const Steps& steps : cluster) {
    EXPECT_EQ(steps.size(), cluster[0].size());
    for (const Step& step : steps)
      for (const Numbers& numbers : step) all.insert(all.end(), numbers.begin(), numbers.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace cohort::data
