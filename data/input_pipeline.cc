#include "cohort/data/input_pipeline.h"

#include <algorithm>

#include "cohort/data/batch_sizes.h"
#include "cohort/data/internal/stack.h"

namespace cohort::data {
namespace {

constexpr std::string_view kStateMagic = "CDS2";

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

void append_number(std::string& bytes, uint64_t value) {
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
}

uint64_t read_number(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof value; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
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
  append_number(bytes, static_cast<uint64_t>(step));
  append_number(bytes, pipelines.size());
  for (const PipelinePosition& pipeline : pipelines) {
    bytes += static_cast<char>(pipeline.ended);
    bytes += pipeline.source.to_bytes();
  }
  return bytes;
}

StepPosition StepPosition::from_bytes(std::string_view bytes) {
  constexpr size_t kStep = kStateMagic.size(), kCount = kStep + 8, kBegin = kCount + 8;
  const size_t source_bytes = Position().to_bytes().size(), each = 1 + source_bytes;
  const bool begins = bytes.size() >= kBegin && bytes.starts_with(kStateMagic);
  const size_t rest = begins ? bytes.size() - kBegin : 0;
  if (!begins || rest % each != 0 || read_number(bytes.substr(kCount)) != rest / each)
    throw DataLoss(
        "StepPosition::from_bytes: got {} bytes that are no position; want some that start with "
        "\"{}\"",
        bytes.size(), kStateMagic);
  StepPosition position{static_cast<int64_t>(read_number(bytes.substr(kStep))), {}};
  for (size_t at = kBegin; at < bytes.size(); at += each) {
    const auto ended = static_cast<unsigned char>(bytes[at]);
    if (ended > 1)
      throw DataLoss("StepPosition::from_bytes: got {} at byte {}; want 0 or 1", ended, at);
    position.pipelines.push_back(
        {Position::from_bytes(bytes.substr(at + 1, source_bytes)), ended == 1});
  }
  return position;
}

StepIterator::StepIterator(const std::vector<PipelinePart>& parts, StepOptions options,
                           int64_t epochs)
    : spec_(parts.at(0).dataset.element_spec()),
      options_(std::move(options)),
      has_rows_(have_rows(spec_)),
      stays_static_(!options_.any_worker && has_rows_ && is_static(spec_)),
      epochs_left_(epochs) {
  if (options_.replicas_per_worker < 1)
    throw InvalidArgument("step iterator: got {} replicas; want 1 or more",
                          options_.replicas_per_worker);
  if (!options_.any_worker) options_.any_worker = [](bool local) { return local; };
}

StepIterator::StepIterator(const std::vector<PipelinePart>& parts, StepOptions options,
                           const IterateOptions& iterate)
    : StepIterator(parts, std::move(options), iterate.epochs) {
  for (const PipelinePart& part : parts) add(part, part.dataset.iterate(iterate), false);
}

StepIterator::StepIterator(const std::vector<PipelinePart>& parts, StepOptions options,
                           const StepPosition& position, int64_t epochs)
    : StepIterator(parts, std::move(options), epochs) {
  if (position.pipelines.size() != parts.size())
    throw InvalidArgument("resume: got the position of {} input pipelines; want one of {}",
                          position.pipelines.size(), parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const PipelinePosition& at = position.pipelines[i];
    const int64_t left = std::max<int64_t>(1, epochs - (at.ended ? 1 : 0));
    add(parts[i], parts[i].dataset.resume(at.source, left), at.ended);
  }
  step_ = position.step;
}

StepIterator::StepIterator(const Dataset& dataset, const StepOptions& options,
                           const IterateOptions& iterate)
    : StepIterator({{dataset, 0, options.replicas_per_worker}}, options, iterate) {}

StepIterator::StepIterator(const Dataset& dataset, const StepOptions& options,
                           const StepPosition& position, int64_t epochs)
    : StepIterator({{dataset, 0, options.replicas_per_worker}}, options, position, epochs) {}

void StepIterator::add(const PipelinePart& part, Iterator source, bool ended) {
  const auto others = static_cast<size_t>(options_.replicas_per_worker - part.num_replicas);
  pipelines_.push_back({.part = part,
                        .source = std::move(source),
                        .ended = ended,
                        .first_element = elements_.size(),
                        .others = std::vector<Element>(others)});
  elements_.resize(elements_.size() + static_cast<size_t>(part.num_replicas));
}

StepPosition StepIterator::position() const {
  StepPosition position{step_, {}};
  for (const Pipeline& pipeline : pipelines_)
    position.pipelines.push_back({pipeline.source.position(), pipeline.ended});
  return position;
}

const std::vector<Element>* StepIterator::next() {
  if (epochs_left_ == 0) return nullptr;
  for (Pipeline& pipeline : pipelines_) take(pipeline);
  if (!all_go_on()) {
    end_epoch();
    return nullptr;
  }
  for (Pipeline& pipeline : pipelines_) fill_empty(pipeline);
  ++step_;
  return &elements_;
}

/// Where the element of a worker's replica goes.
Element& StepIterator::element_of(Pipeline& pipeline, int64_t replica) {
  const int64_t first = pipeline.part.first_replica, count = pipeline.part.num_replicas;
  if (replica < first) return pipeline.others[static_cast<size_t>(replica)];
  if (replica >= first + count) return pipeline.others[static_cast<size_t>(replica - count)];
  return elements_[pipeline.first_element + static_cast<size_t>(replica - first)];
}

void StepIterator::take(Pipeline& pipeline) {
  pipeline.num_taken = 0;
  while (!pipeline.ended && pipeline.num_taken < options_.replicas_per_worker) {
    pipeline.ended = !pipeline.source.next(element_of(pipeline, pipeline.num_taken));
    if (!pipeline.ended) ++pipeline.num_taken;
  }
}

bool StepIterator::all_go_on() const {
  const auto any = [this](auto&& is) {
    return std::any_of(pipelines_.begin(), pipelines_.end(), is);
  };
  const bool has_some = any([](const Pipeline& p) { return p.num_taken > 0; });
  const bool lacks_some =
      any([this](const Pipeline& p) { return p.num_taken < options_.replicas_per_worker; });
  if (options_.num_steps) return step_ < *options_.num_steps;
  if (stays_static_) return !lacks_some;
  if (!options_.any_worker(has_some)) return false;
  if (!has_rows_ && options_.any_worker(lacks_some))
    throw FailedPrecondition(
        "distributed dataset: got elements without rows that do not divide by the replicas; want "
        "batches, so that a replica can be given none");
  return true;
}

void StepIterator::fill_empty(Pipeline& pipeline) {
  if (pipeline.num_taken == options_.replicas_per_worker) return;
  ElementSpec row_spec = spec_;
  for (size_t c = 0; c < row_spec.size(); ++c) {
    const Shape& rows =
        pipeline.num_taken > 0 ? element_of(pipeline, 0)[c].shape() : row_spec[c].shape;
    row_spec[c].shape = rows.slice(1);
  }
  for (int64_t r = pipeline.num_taken; r < options_.replicas_per_worker; ++r)
    make_empty_batch(element_of(pipeline, r), row_spec);
}

/// Others' data may have ended before a worker's.
void StepIterator::end_epoch() {
  --epochs_left_;
  for (Pipeline& pipeline : pipelines_) {
    if (!pipeline.ended) {
      const Position at = pipeline.source.position();
      pipeline.source = pipeline.part.dataset.iterate(
          {.seed = at.seed, .epoch = at.epoch + 1, .epochs = std::max<int64_t>(1, epochs_left_)});
    }
    pipeline.ended = false;
  }
  step_ = 0;
}

}  // namespace cohort::data
