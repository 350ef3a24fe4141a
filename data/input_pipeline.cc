#include "cohort/data/input_pipeline.h"

#include <algorithm>

#include "cohort/data/batch_sizes.h"
#include "cohort/data/internal/stack.h"

namespace cohort::data {
namespace {

constexpr std::string_view kStateMagic = "CDS1";

bool have_rows(const ElementSpec& spec) {
  return std::all_of(spec.begin(), spec.end(),
                     [](const ComponentSpec& component) { return component.shape.rank() > 0; });
}

bool is_static(const ElementSpec& spec) {
  return std::all_of(spec.begin(), spec.end(),
                     [](const ComponentSpec& component) { return component.shape.is_concrete(); });
}

void check(const InputWorker& worker) {
  if (worker.num_workers < 1 || worker.index < 0 || worker.index >= worker.num_workers ||
      worker.replicas_per_worker < 1)
    throw InvalidArgument(
        "input pipeline: got worker {} of {} with {} replicas; want a worker among them and 1 "
        "replica or more",
        worker.index, worker.num_workers, worker.replicas_per_worker);
}

int64_t divide_up(int64_t count, int64_t by) { return (count + by - 1) / by; }

/// Shared by data the first worker has the most elements.
std::optional<int64_t> num_steps(const Dataset& all, const InputWorker& worker) {
  const int64_t size = all.cardinality();
  const ElementSpec spec = all.element_spec();
  if (size < 0 || !have_rows(spec)) return std::nullopt;
  if (worker.num_workers == 1 && is_static(spec)) return size / worker.replicas_per_worker;
  return divide_up(divide_up(size, worker.num_workers), worker.replicas_per_worker);
}

}  // namespace

InputPipeline make_input_pipeline(const Dataset& dataset, const InputWorker& worker) {
  check(worker);
  const int64_t num_workers = worker.num_workers, index = worker.index;
  const int64_t num_replicas = num_workers * worker.replicas_per_worker;
  const ShardingPlan plan = plan_sharding(dataset, num_workers);
  const bool cuts = num_replicas > 1 && have_rows(dataset.element_spec());
  if (plan.policy == AutoShardPolicy::kData) {
    const Dataset parts = cuts ? dataset.legacy_rebatch(num_replicas) : dataset;
    return {auto_shard(parts, num_workers, index, plan.policy), plan, num_steps(parts, worker)};
  }
  const Dataset own = auto_shard(dataset, num_workers, index, plan.policy);
  if (!cuts) return {own, plan, std::nullopt};
  const int64_t batch_size = dataset.batch_size();
  if (batch_size <= 0) return {own.legacy_rebatch(num_replicas), plan, std::nullopt};
  return {own.rebatch(
              batch_sizes_for_worker(batch_size, num_workers, worker.replicas_per_worker, index)),
          plan, std::nullopt};
}

int64_t count_steps(const Dataset& dataset, const StepOptions& options) {
  if (options.num_steps) return *options.num_steps;
  const int64_t size = dataset.cardinality();
  if (size < 0) return size;
  if (options.any_worker) return kUnknownCardinality;
  return is_static(dataset.element_spec()) ? size / options.replicas_per_worker
                                           : divide_up(size, options.replicas_per_worker);
}

std::string StepPosition::to_bytes() const {
  std::string bytes(kStateMagic);
  for (size_t i = 0; i < sizeof step; ++i)
    bytes += static_cast<char>(static_cast<uint64_t>(step) >> (8 * i));
  bytes += static_cast<char>(ended);
  return bytes + source.to_bytes();
}

StepPosition StepPosition::from_bytes(std::string_view bytes) {
  constexpr size_t kStep = kStateMagic.size(), kEnded = kStep + sizeof step, kSource = kEnded + 1;
  if (bytes.size() <= kSource || !bytes.starts_with(kStateMagic) ||
      static_cast<unsigned char>(bytes[kEnded]) > 1)
    throw DataLoss(
        "StepPosition::from_bytes: got {} bytes that are no position; want some that start with "
        "\"{}\"",
        bytes.size(), kStateMagic);
  uint64_t step = 0;
  for (size_t i = 0; i < sizeof step; ++i)
    step |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[kStep + i])) << (8 * i);
  return {.source = Position::from_bytes(bytes.substr(kSource)),
          .step = static_cast<int64_t>(step),
          .ended = bytes[kEnded] == 1};
}

StepIterator::StepIterator(const Dataset& dataset, StepOptions options, Iterator source,
                           int64_t epochs)
    : dataset_(dataset),
      spec_(dataset.element_spec()),
      options_(std::move(options)),
      has_rows_(have_rows(spec_)),
      stays_static_(!options_.any_worker && has_rows_ && is_static(spec_)),
      source_(std::move(source)),
      epochs_left_(epochs) {
  if (options_.replicas_per_worker < 1)
    throw InvalidArgument("step iterator: got {} replicas; want 1 or more",
                          options_.replicas_per_worker);
  if (!options_.any_worker) options_.any_worker = [](bool local) { return local; };
  elements_.resize(static_cast<size_t>(options_.replicas_per_worker));
}

StepIterator::StepIterator(const Dataset& dataset, StepOptions options,
                           const IterateOptions& iterate)
    : StepIterator(dataset, std::move(options), dataset.iterate(iterate), iterate.epochs) {}

StepIterator::StepIterator(const Dataset& dataset, StepOptions options,
                           const StepPosition& position, int64_t epochs)
    : StepIterator(
          dataset, std::move(options),
          dataset.resume(position.source, std::max<int64_t>(1, epochs - (position.ended ? 1 : 0))),
          epochs) {
  step_ = position.step;
  ended_ = position.ended;
}

const std::vector<Element>* StepIterator::next() {
  if (epochs_left_ == 0) return nullptr;
  const int64_t num_taken = take_local();
  if (!all_go_on(num_taken)) {
    end_epoch();
    return nullptr;
  }
  fill_empty(num_taken);
  ++step_;
  return &elements_;
}

int64_t StepIterator::take_local() {
  int64_t taken = 0;
  while (!ended_ && taken < options_.replicas_per_worker) {
    ended_ = !source_.next(elements_[static_cast<size_t>(taken)]);
    if (!ended_) ++taken;
  }
  return taken;
}

bool StepIterator::all_go_on(int64_t num_taken) const {
  const bool lacks_some = num_taken < options_.replicas_per_worker;
  if (options_.num_steps) return step_ < *options_.num_steps;
  if (stays_static_) return !lacks_some;
  if (!options_.any_worker(num_taken > 0)) return false;
  if (!has_rows_ && options_.any_worker(lacks_some))
    throw FailedPrecondition(
        "distributed dataset: got elements without rows that do not divide by the replicas; want "
        "batches, so that a replica can be given none");
  return true;
}

void StepIterator::fill_empty(int64_t num_taken) {
  if (num_taken == std::ssize(elements_)) return;
  ElementSpec row_spec = spec_;
  for (size_t c = 0; c < row_spec.size(); ++c)
    row_spec[c].shape = (num_taken > 0 ? elements_[0][c].shape() : row_spec[c].shape).slice(1);
  for (size_t r = static_cast<size_t>(num_taken); r < elements_.size(); ++r)
    make_empty_batch(elements_[r], row_spec);
}

/// Others' data may have ended before this worker's.
void StepIterator::end_epoch() {
  --epochs_left_;
  if (!ended_) {
    const Position at = source_.position();
    source_ = dataset_.iterate(
        {.seed = at.seed, .epoch = at.epoch + 1, .epochs = std::max<int64_t>(1, epochs_left_)});
  }
  ended_ = false;
  step_ = 0;
}

}  // namespace cohort::data
