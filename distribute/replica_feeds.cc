#include "cohort/distribute/replica_feeds.h"

#include <algorithm>
#include <numeric>

#include "cohort/core/symbol.h"
#include "cohort/data/batch_sizes.h"

namespace cohort::distribute {
namespace {

/// Rows of each of sizes.size() replicas in a batch of `rows`.
void split_rows(int64_t rows, int64_t batch_size, std::vector<int64_t>& sizes) {
  const auto n = static_cast<int64_t>(sizes.size());
  for (int64_t r = 0; r < n; ++r) {
    const data::RowSpan span =
        data::rows_of_replicas(rows, batch_size, {.num_replicas = n, .first = r, .count = 1});
    sizes[static_cast<size_t>(r)] = span.end - span.begin;
  }
}

constexpr int64_t kUnset = -1;

}  // namespace

int64_t rows_in(const data::Element& batch) {
  return batch.empty() || batch.front().rank() == 0 ? 0 : batch.front().size(0);
}

ReplicaFeeds::ReplicaFeeds(const Trace& trace, int64_t batch_size, size_t first, size_t count,
                           size_t num_replicas, Workers& workers)
    : trace_(trace),
      batch_size_(batch_size),
      first_(first),
      workers_(workers),
      symbols_(ReplicaDevice::symbols(*trace.graph)),
      feeds_(count),
      rows_(num_replicas) {
  for (ReplicaFeed& feed : feeds_) {
    feed.inputs.resize(trace.graph->placeholders().size());
    feed.symbols.resize(symbols_.size());
  }
}

void ReplicaFeeds::set(const data::Element& batch, const data::RowRange& range,
                       const StepNumber& number) {
  check_count(batch.size());
  forget_symbols();
  const int64_t here = rows_in(batch);
  for (const Tensor& component : batch)
    if (component.rank() > 0 && component.size(0) != here)
      throw InvalidArgument("step: got components of {} and {} rows; want equal numbers", here,
                            component.size(0));
  split_rows(range.global_rows, batch_size_, rows_);
  int64_t offset = rows_before();
  for (size_t r = 0; r < feeds_.size(); ++r) {
    const int64_t begin = offset - range.offset;
    if (begin < 0 || begin + rows_of(r) > here)
      throw InvalidArgument("step: got rows {} to {} of a batch; want rows {} to {} among them",
                            range.offset, range.offset + here, offset, offset + rows_of(r));
    for (size_t i = 0; i < batch.size(); ++i) feed_rows(r, i, batch[i], begin, rows_of(r));
    set_step(r, number, offset, range.global_rows);
    offset += rows_of(r);
  }
}

void ReplicaFeeds::set(std::span<const data::Element> per_replica, const StepNumber& number) {
  if (per_replica.size() != feeds_.size())
    throw InvalidArgument("step: got values for {} replicas; want {}", per_replica.size(),
                          feeds_.size());
  forget_symbols();
  for (size_t r = 0; r < feeds_.size(); ++r) {
    check_count(per_replica[r].size());
    rows_of(r) = rows_in(per_replica[r]);
  }
  const int64_t total = count_rows();
  int64_t offset = rows_before();
  for (size_t r = 0; r < feeds_.size(); ++r) {
    const data::Element& element = per_replica[r];
    for (size_t i = 0; i < element.size(); ++i)
      feed_rows(r, i, element[i], 0, element[i].rank() == 0 ? 0 : element[i].size(0));
    set_step(r, number, offset, total);
    offset += rows_of(r);
  }
}

bool ReplicaFeeds::are_known_everywhere() const {
  return workers_.count() == 1 ||
         std::all_of(symbols_.begin(), symbols_.end(),
                     [](const std::string& symbol) { return symbol == batch_dim().symbol(); });
}

void ReplicaFeeds::numbers(std::vector<int64_t>& to) const {
  to.assign(rows_.begin(), rows_.end());
  if (workers_.count() > 1) return;
  for (const ReplicaFeed& feed : feeds_)
    to.insert(to.end(), feed.symbols.begin(), feed.symbols.end());
}

/// Rows of the batch that replicas of earlier processes have.
int64_t ReplicaFeeds::rows_before() const {
  return std::accumulate(rows_.begin(), rows_.begin() + static_cast<int64_t>(first_), int64_t{0});
}

/// Fills in the rows of other processes' replicas; returns those of all.
int64_t ReplicaFeeds::count_rows() {
  if (workers_.count() > 1) {
    std::vector<Tensor> counts;
    for (size_t r = 0; r < feeds_.size(); ++r) counts.push_back(Tensor::scalar(rows_of(r)));
    counts = workers_.all_gather("rows", counts);
    for (size_t r = 0; r < rows_.size(); ++r) rows_[r] = counts[r].item<int64_t>();
  }
  return std::accumulate(rows_.begin(), rows_.end(), int64_t{0});
}

void ReplicaFeeds::check_count(size_t got) const {
  const size_t want = trace_.graph->placeholders().size();
  if (got != want) throw InvalidArgument("step: got {} components; want {}", got, want);
}

/// Points input i of replica r at `rows` rows of `component` from `offset` on, and notes what its
/// symbols are.
void ReplicaFeeds::feed_rows(size_t r, size_t i, const Tensor& component, int64_t offset,
                             int64_t rows) {
  const TensorType& want = trace_.graph->placeholders()[i]->output_types()[0];
  const bool by_rows = want.shape.rank() > 0 && want.shape[0].is_symbol();
  bool fits = component.defined() && component.dtype() == want.dtype &&
              component.rank() == want.shape.rank() && component.is_contiguous();
  int64_t row_bytes = static_cast<int64_t>(size_of(want.dtype));
  for (int axis = 0; fits && axis < want.shape.rank(); ++axis) {
    const int64_t size = axis == 0 && by_rows ? rows : component.size(axis);
    if (axis > 0) row_bytes *= size;
    if (want.shape[axis].is_symbol()) {
      set_symbol(r, want.shape[axis].symbol(), size, trace_.graph->placeholders()[i]->name());
    } else {
      fits = want.shape[axis] == size;
    }
  }
  if (!fits)
    throw InvalidArgument("{}: got {} {}; want contiguous {} {}",
                          trace_.graph->placeholders()[i]->name(), component.dtype(),
                          component.shape(), want.dtype, want.shape);
  feeds_[r].inputs[i] =
      static_cast<const char*>(component.raw()) + (by_rows ? offset * row_bytes : 0);
}

void ReplicaFeeds::set_symbol(size_t r, const std::string& symbol, int64_t number,
                              const std::string& input) {
  for (size_t s = 0; s < symbols_.size(); ++s) {
    if (symbols_[s] != symbol) continue;
    int64_t& known = feeds_[r].symbols[s];
    if (known != kUnset && known != number)
      throw InvalidArgument("{}: got {} for dimension {}; want {} as in the inputs before", input,
                            number, symbol, known);
    known = number;
  }
}

void ReplicaFeeds::forget_symbols() {
  for (ReplicaFeed& feed : feeds_) std::fill(feed.symbols.begin(), feed.symbols.end(), kUnset);
}

void ReplicaFeeds::set_step(size_t r, const StepNumber& number, int64_t offset,
                            int64_t global_rows) {
  feeds_[r].step = {.seed = number.seed,
                    .step = number.step,
                    .micro_step = number.micro_step,
                    .replica_id = static_cast<int64_t>(first_ + r),
                    .num_replicas = static_cast<int64_t>(rows_.size()),
                    .rows = rows_of(r),
                    .row_offset = offset,
                    .global_rows = global_rows};
}

}  // namespace cohort::distribute
