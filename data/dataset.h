#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/data/element.h"
#include "cohort/data/file_options.h"
#include "cohort/data/iterator.h"

namespace cohort::data {

class Dataset;
class Node;              // data/internal/node.h
struct CsvOptions;       // data/csv.h
struct FixedLenFeature;  // data/example.h

/// A user's function on an element. It may be called from several threads at once and, after a
/// resume, not again for the elements already consumed: let its result depend on its argument only.
using MapFunction = std::function<Element(const Element&)>;
using Predicate = std::function<bool(const Element&)>;
/// A dataset for an element: the records of the file that it names. As a MapFunction.
using DatasetFunction = std::function<Dataset(const Element&)>;

struct ShuffleOptions {
  std::optional<uint64_t> seed = {};     ///< mixed with the iterator's seed
  bool reshuffle_each_iteration = true;  ///< false: the order of epoch 0 in every epoch
};
struct BatchOptions {
  bool drop_remainder = false;
};
/// The replicas whose rows of every batch a process needs, of all replicas.
struct RowSplit {
  int64_t num_replicas = 1;
  int64_t first = 0;
  int64_t count = 1;
};
/// How the workers of a strategy share a dataset (data/auto_shard.h).
enum class AutoShardPolicy : uint8_t { kAuto, kFile, kData, kOff, kHint };
struct DatasetOptions {
  AutoShardPolicy auto_shard_policy = AutoShardPolicy::kAuto;
};
/// In place of the numbers of Dataset::shard: those of the worker, under AutoShardPolicy::kHint.
inline constexpr int64_t kShardHint = -1;

struct MapOptions {
  /// More than 1: that many threads, owned by the iterator; elements stay in order.
  int num_parallel_calls = 1;
  /// What the function returns. Absent: found on the first call of element_spec() by applying the
  /// function to the first element.
  std::optional<ElementSpec> element_spec = {};
};

/// A description of a stream of elements: a source and a chain of transformations, with tf.data's
/// names and meaning. A cheap handle to an immutable value: every method returns a new dataset and
/// iterating changes nothing. Bad arguments throw InvalidArgument from the method that got them.
///
/// Datasets over tensors, ranges and IDX files stay random access through shuffle, take, skip,
/// shard, repeat, filter, cache, concatenate and cast: a batch of them is gathered from the source
/// rows straight into the batch's memory. map on examples, zip of reordered datasets and whatever
/// follows batch work element by element.
class Dataset {
 public:
  /// One element: `components` as they are.
  static Dataset from_tensors(Element components);
  /// Row i of every component is element i. All components: [M, …] with one M.
  static Dataset from_tensor_slices(Element components);
  /// The i64 scalars start, start + step, … before stop.
  static Dataset range(int64_t stop);
  static Dataset range(int64_t start, int64_t stop, int64_t step = 1);
  /// Row i of every IDX file (data/idx.h) is element i, one component per file: images u8 [H, W],
  /// labels u8 scalars. Files are read here, into memory. Throws NotFound, DataLoss or
  /// InvalidArgument that names the file.
  static Dataset from_idx(const std::vector<std::string>& paths);
  /// The records of TFRecord files (data/tfrecord.h), file after file: uint8 [L], where L differs
  /// from record to record; `parse_example` looks inside. Files are opened when their turn comes
  /// and read through a buffer. Iterating throws NotFound for a file that cannot be opened and
  /// DataLoss for one that is damaged or cut off, naming file, record, byte, what was got and
  /// wanted.
  static Dataset from_tfrecord(const std::vector<std::string>& files, TFRecordOptions options = {});
  /// The lines of UTF-8 files without their ends ("\n", "\r\n" or "\r") and byte order marks, file
  /// after file: uint8 [L] (data/text.h). A line of more than 64 MiB is an error.
  static Dataset from_text_lines(const std::vector<std::string>& files,
                                 TextLineOptions options = {});
  /// The records of CSV files, file after file: one scalar for each column (data/csv.h).
  static Dataset from_csv(const std::vector<std::string>& files, const CsvOptions& options);
  /// The names of the files that match a pattern of *, ? and [...], as uint8 [L] (data/text.h), in
  /// the order of the names or shuffled. The directories are read here. Throws NotFound where
  /// nothing matches a pattern.
  static Dataset list_files(const std::vector<std::string>& patterns,
                            ListFilesOptions options = {});
  /// Elements side by side: the components of the first dataset, then of the second, …; as many
  /// elements as the shortest has.
  static Dataset zip(const std::vector<Dataset>& datasets);

  Dataset map(MapFunction function, MapOptions options = {}) const;
  /// Every record as a tf.train.Example (data/example.h): one component per feature.
  Dataset parse_example(std::vector<FixedLenFeature> features, int num_parallel_calls = 1) const;
  /// The elements of function(element), for `cycle_length` elements at a time: `block_length` from
  /// each in turn. Where one ends, the next element takes its place when its turn comes again, as
  /// in tf.data. The same order with and without threads.
  Dataset interleave(DatasetFunction function, InterleaveOptions options = {}) const;
  /// The elements of function(element), one dataset after the other.
  Dataset flat_map(DatasetFunction function) const;
  Dataset filter(Predicate predicate) const;
  /// Draws each element at random from a buffer of the next `buffer_size` ones. A buffer as large
  /// as the dataset gives a uniform permutation. The order follows from (seed, epoch) alone.
  Dataset shuffle(int64_t buffer_size, ShuffleOptions options = {}) const;
  /// [N, …] of every component; equal shapes within a batch.
  Dataset batch(int64_t batch_size, BatchOptions options = {}) const;
  /// The rows of every element, one by one.
  Dataset unbatch() const;
  /// Cuts the stream of rows anew, across the borders of the incoming batches, to `sizes` in turn.
  /// A size 0 gives an empty batch and consumes nothing.
  Dataset rebatch(std::vector<int64_t> sizes, BatchOptions options = {}) const;
  /// Cuts every incoming batch of B rows in `num_replicas` parts of ceil(B / num_replicas); the
  /// last ones may be short or empty.
  Dataset legacy_rebatch(int64_t num_replicas) const;
  /// `count` times in a row, each time as an epoch of its own; -1 is forever.
  Dataset repeat(int64_t count = -1) const;
  /// At most the first `count`; -1 is all of them.
  Dataset take(int64_t count) const;
  /// Without the first `count`; -1 leaves nothing.
  Dataset skip(int64_t count) const;
  /// Keeps in memory what one complete pass with epoch 0 gives; later epochs and iterators with the
  /// same seed read it from there. Upstream shuffles are therefore frozen, as in tf.data.
  Dataset cache() const;
  /// This, then `other`; equal dtypes and ranks of all components.
  Dataset concatenate(const Dataset& other) const;
  /// Elements index, index + num_shards, index + 2 num_shards, … Where both are kShardHint, those
  /// of the worker under AutoShardPolicy::kHint; iterating throws FailedPrecondition until then.
  Dataset shard(int64_t num_shards, int64_t index) const;
  /// An i64 counter from `start` before the components.
  Dataset enumerate(int64_t start = 0) const;
  /// Component `component` as `dtype`, times `scale` when dtype is floating. Costs nothing extra
  /// when the component is gathered from memory.
  Dataset cast(int component, DType dtype, double scale = 1.0) const;
  /// A background thread prepares up to `buffer_size` elements ahead. kAutotune: 2 to 16, half a
  /// MiB of them if possible, so that they are met in the cache; 0: no thread.
  Dataset prefetch(int64_t buffer_size = kAutotune) const;

  /// Of every batch only the rows of some replicas, as data::rows_of_replicas splits them for
  /// batch_size(): for a process that trains on a part of every global batch. Iterator::row_range()
  /// says which rows these are and how many the whole batch has; an element may have 0 rows. The
  /// stream is otherwise the same, so positions are exchangeable with the whole dataset's, and
  /// between processes.
  ///
  /// Rows that are gathered from memory, or stacked by `batch`, are chosen before: the others are
  /// neither read nor mapped. Where a map or filter follows `batch`, whole batches are made and
  /// cut. Only prefetch may follow. Throws InvalidArgument for elements without rows.
  Dataset batch_rows(const RowSplit& split) const;

  /// The number of elements of one epoch, kInfiniteCardinality or kUnknownCardinality.
  int64_t cardinality() const;
  /// Rows of a full batch where the description fixes them (data/batch_sizes.h); else -1.
  int64_t batch_size() const;
  /// dtype and shape of each component. The batch dimension is batch_dim() where it can vary.
  ElementSpec element_spec() const;
  int num_components() const;
  /// The files that its sources read while it is iterated, by path, each as often as it is named
  /// there. Those that a step's function opens, as in interleave, are not known.
  std::vector<std::string> source_files() const;
  /// The chain, for people: `from_tensor_slices(uint8[28, 28], uint8[] x 60000).batch(32)`.
  std::string to_string() const;

  Iterator iterate(IterateOptions options = {}) const;
  /// Continues where `position` was taken, for the rest of its epoch and `epochs` - 1 more.
  /// Throws InvalidArgument when the position is of a differently described dataset.
  Iterator resume(const Position& position, int64_t epochs = 1) const;

  /// How the dataset is to be shared by workers; the steps that follow keep it.
  Dataset with_options(const DatasetOptions& options) const;
  const DatasetOptions& options() const { return options_; }

  explicit Dataset(std::shared_ptr<const Node> node, const DatasetOptions& options = {})
      : node_(std::move(node)), options_(options) {}
  const std::shared_ptr<const Node>& node() const { return node_; }

 private:
  /// The node, for a step after it.
  const std::shared_ptr<const Node>& input() const;
  Dataset derived(std::shared_ptr<const Node> node) const {
    return Dataset(std::move(node), options_);
  }

  std::shared_ptr<const Node> node_;
  DatasetOptions options_;
};

}  // namespace cohort::data
