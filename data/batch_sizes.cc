#include "cohort/data/batch_sizes.h"

#include <algorithm>

#include "cohort/data/internal/node.h"

namespace cohort::data {

std::vector<int64_t> batch_sizes_for_worker(int64_t global_batch_size, int64_t num_workers,
                                            int64_t replicas_per_worker, int64_t worker) {
  if (global_batch_size < 1 || num_workers < 1 || replicas_per_worker < 1 || worker < 0 ||
      worker >= num_workers)
    throw InvalidArgument(
        "batch_sizes_for_worker: got batch {}, {} workers, {} replicas per worker, "
        "worker {}; want 1 or more each, and a worker among them",
        global_batch_size, num_workers, replicas_per_worker, worker);
  const int64_t num_replicas = num_workers * replicas_per_worker;
  const int64_t least = global_batch_size / num_replicas, larger = global_batch_size % num_replicas;
  std::vector<int64_t> sizes(static_cast<size_t>(num_replicas), least);
  std::fill_n(sizes.begin(), larger, least + 1);
  std::rotate(sizes.begin(), sizes.begin() + worker * replicas_per_worker, sizes.end());
  return sizes;
}

RowSpan rows_of_replicas(int64_t rows, int64_t batch_size, const RowSplit& split) {
  const int64_t n = split.num_replicas, full = std::max(rows, batch_size);
  const auto before = [&](int64_t replica) {
    const int64_t begin = batch_size > 0 ? replica * (full / n) + std::min(replica, full % n)
                                         : replica * ((rows + n - 1) / n);
    return std::min(begin, rows);
  };
  return {before(split.first), before(split.first + split.count)};
}

int64_t batch_size_of(const Node& node) {
  if (const int64_t size = node.batch_size(); size >= 0) return size;
  int64_t rows = -1;
  for (const ComponentSpec& component : node.spec()) {
    const Shape& shape = component.shape;
    if (shape.rank() == 0 || shape[0].is_symbol() || shape[0] == 0) return -1;
    if (rows >= 0 && shape[0] != rows) return -1;
    rows = shape[0].number();
  }
  return rows;
}

int64_t compute_batch_size(const Dataset& dataset) { return batch_size_of(*dataset.node()); }

}  // namespace cohort::data
