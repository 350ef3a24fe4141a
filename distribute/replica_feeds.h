#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cohort/distribute/replica_device.h"

namespace cohort::distribute {

/// What the replicas of this process are fed in the current step, and how many rows all replicas
/// have. Allocates nothing once it is made.
class ReplicaFeeds {
 public:
  /// `trace` and `workers` outlive this. This process' replicas are `count` of all `num_replicas`,
  /// from `first` on. `batch_size`: of the dataset; 0 or -1: unknown.
  ReplicaFeeds(const Trace& trace, int64_t batch_size, size_t first, size_t count,
               size_t num_replicas, Workers& workers);

  /// Splits the rows of one global batch over the replicas; `range` says which of them `batch` has.
  /// Throws InvalidArgument for components that do not fit each other or the trace.
  void set(const data::Element& batch, const data::RowRange& range, const StepNumber& number);
  /// One element for each replica of this process. Collective.
  void set(std::span<const data::Element> per_replica, const StepNumber& number);

  size_t size() const { return feeds_.size(); }
  std::span<const ReplicaFeed> all() const { return feeds_; }

  /// Whether every process knows by which numbers all replicas' executables are chosen.
  bool are_known_everywhere() const;
  /// Those numbers, where they are.
  void numbers(std::vector<int64_t>& to) const;

 private:
  int64_t& rows_of(size_t r) { return rows_[first_ + r]; }
  int64_t rows_before() const;
  int64_t count_rows();
  void check_count(size_t got) const;
  void feed_rows(size_t r, size_t i, const Tensor& component, int64_t offset, int64_t rows);
  void set_symbol(size_t r, const std::string& symbol, int64_t number, const std::string& input);
  void forget_symbols();
  void set_step(size_t r, const StepNumber& number, int64_t offset, int64_t global_rows);

  const Trace& trace_;
  const int64_t batch_size_;
  const size_t first_;  ///< feeds_[0] is this one of all replicas
  Workers& workers_;
  const std::vector<std::string> symbols_;
  std::vector<ReplicaFeed> feeds_;
  std::vector<int64_t> rows_;  ///< of all replicas
};

/// Of its first component; 0 where that is a scalar.
int64_t rows_in(const data::Element& batch);

}  // namespace cohort::distribute
