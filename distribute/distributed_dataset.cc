#include "cohort/distribute/distributed_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cohort/core/terminal.h"

namespace cohort::distribute {
namespace {

/// An input pipeline of a strategy.
data::InputWorker pipeline_of(const Strategy& strategy, int64_t number) {
  const int64_t pipelines = strategy.impl().num_input_pipelines();
  const int64_t replicas = strategy.num_replicas_in_sync();
  if (replicas % pipelines != 0)
    throw InvalidArgument(
        "distributed dataset: got {} replicas for {} input pipelines, one for each process that "
        "the job began with; want equally many for each",
        replicas, pipelines);
  return {.num_workers = pipelines, .index = number, .replicas_per_worker = replicas / pipelines};
}

/// What the chief says of the plan.
std::string describe(const Strategy& strategy, const std::string& plan) {
  const int pipelines = strategy.impl().num_input_pipelines();
  const int processes = strategy.workers().count();
  if (pipelines == processes) return plan;
  return fmt::format("{}; the job began with {} workers and goes on with {}", plan, pipelines,
                     processes);
}

}  // namespace

int64_t InputContext::get_per_replica_batch_size(int64_t global_batch_size) const {
  if (global_batch_size % num_replicas_in_sync != 0)
    throw InvalidArgument(
        "get_per_replica_batch_size: got a global batch of {} for {} replicas; want a multiple",
        global_batch_size, num_replicas_in_sync);
  return global_batch_size / num_replicas_in_sync;
}

const DistributedElement* DistributedDataset::Iterator::next() {
  return strategy_.workers().guard("the next batch", [this] { return take_next(); });
}

const DistributedElement* DistributedDataset::Iterator::take_next() {
  current_.clear();  // its memory may be written again
  const std::vector<data::Element>* elements = steps_.next();
  if (!elements) return nullptr;
  collect(*elements);
  return &current_;
}

data::StepPosition DistributedDataset::Iterator::position() const {
  return strategy_.workers().guard("the position in the data",
                                   [this] { return input_.position_of(steps_); });
}

void DistributedDataset::Iterator::collect(const std::vector<data::Element>& elements) {
  for (size_t c = 0; c < elements.front().size(); ++c) {
    std::vector<Tensor> values;
    for (const data::Element& element : elements) values.push_back(element[c]);
    const bool batched = values.front().rank() > 0;
    current_.emplace_back(std::move(values), batched);
  }
}

DistributedDataset::Iterator::Iterator(const DistributedInput& input, data::StepIterator steps)
    : input_(input), strategy_(input.strategy()), steps_(std::move(steps)) {}

DistributedDataset::DistributedDataset(DistributedInput input, std::string plan)
    : DistributedInput(std::move(input)), plan_(std::move(plan)) {}

DistributedInput::DistributedInput(const DistributedInput&) = default;
DistributedInput::DistributedInput(DistributedInput&&) noexcept = default;
DistributedInput& DistributedInput::operator=(const DistributedInput&) = default;
DistributedInput& DistributedInput::operator=(DistributedInput&&) noexcept = default;
DistributedInput::~DistributedInput() = default;

data::ElementSpec DistributedInput::element_spec() const {
  return parts_.parts.front().dataset.element_spec();
}

int64_t DistributedInput::cardinality() const {
  return data::count_steps(parts_.parts.front().dataset, options_);
}

data::StepIterator DistributedInput::iterate_steps(const data::IterateOptions& options) const {
  return {parts_.parts, options_, options};
}

/// Of pipelines that are run in several processes the first one tells.
data::StepPosition DistributedInput::position_of(const data::StepIterator& steps) const {
  const data::StepPosition here = steps.position();
  data::StepPosition all{here.step, {}};
  for (const int64_t number : parts_.owned)
    all.pipelines.push_back(here.pipelines[static_cast<size_t>(number)]);
  Workers& workers = strategy_.workers();
  if (workers.count() == 1) return all;
  const auto told = workers.all_gather("positions of the input", all.to_bytes());
  all.pipelines.clear();
  for (const std::string& bytes : told) {
    const data::StepPosition position = data::StepPosition::from_bytes(bytes);
    all.pipelines.insert(all.pipelines.end(), position.pipelines.begin(), position.pipelines.end());
  }
  return all;
}

data::StepIterator DistributedInput::resume_steps(const data::StepPosition& position,
                                                  int64_t epochs) const {
  if (std::ssize(position.pipelines) != parts_.num_pipelines)
    throw InvalidArgument(
        "resume: got the position of {} input pipelines; want {}, as many as the input has: a "
        "strategy takes the number that a job began with from the checkpoint's directory "
        "(resume_from, or COHORT_RESUME_FROM)",
        position.pipelines.size(), parts_.num_pipelines);
  const auto first = position.pipelines.begin() + parts_.first;
  const data::StepPosition here{position.step, {first, first + std::ssize(parts_.parts)}};
  return {parts_.parts, options_, here, epochs};
}

DistributedInput::Parts DistributedInput::parts_of(
    const Strategy& strategy, const std::function<data::Dataset(int64_t)>& make) {
  const data::InputWorker any = pipeline_of(strategy, 0);
  const int64_t each = any.replicas_per_worker;
  const data::RowSplit here = strategy.impl().row_split();
  Parts parts{
      .num_pipelines = any.num_workers, .replicas_of_each = each, .first = here.first / each};
  for (int64_t p = parts.first; p * each < here.first + here.count; ++p) {
    const int64_t begin = std::max(p * each, here.first);
    const int64_t end = std::min((p + 1) * each, here.first + here.count);
    if (begin == p * each) parts.owned.push_back(std::ssize(parts.parts));
    parts.parts.push_back({make(p), begin - p * each, end - begin});
  }
  return parts;
}

DistributedInput::DistributedInput(Strategy strategy, Parts parts, std::optional<int64_t> num_steps,
                                   int64_t batch_size, std::vector<std::string> files)
    : strategy_(std::move(strategy)),
      parts_(std::move(parts)),
      options_{
          .replicas_per_worker = parts_.replicas_of_each, .any_worker = {}, .num_steps = num_steps},
      batch_size_(batch_size),
      files_(std::move(files)) {
  if (parts_.num_pipelines == 1) return;  // each process runs it, and knows of all
  options_.any_worker = [strategy = strategy_](bool local) {
    return strategy.workers().any("input", local);
  };
}

DistributedDataset::Iterator DistributedDataset::iterate(data::IterateOptions options) const {
  return strategy().workers().guard("the start of a pass",
                                    [&] { return Iterator(*this, iterate_steps(options)); });
}

DistributedDataset::Iterator DistributedDataset::resume(const data::StepPosition& position,
                                                        int64_t epochs) const {
  return strategy().workers().guard(
      "the start of a pass", [&] { return Iterator(*this, resume_steps(position, epochs)); });
}

DistributedDataset Strategy::experimental_distribute_dataset(const data::Dataset& dataset) const {
  std::optional<data::InputPipeline> input;
  const auto make = [&](int64_t number) {
    const data::InputWorker worker = pipeline_of(*this, number);
    input = data::make_input_pipeline(dataset, worker);
    const int64_t replicas = worker.replicas_per_worker;  // a step takes an element for each
    return input->dataset.prefetch(replicas == 1 ? data::kAutotune : 2 * replicas);
  };
  DistributedInput::Parts parts = workers().guard(
      "the making of a dataset", [&] { return DistributedInput::parts_of(*this, make); });
  const std::string plan = describe(*this, input->plan.sentence);
  if (impl_->num_input_pipelines() > 1 && is_chief()) say(stderr, plan + "\n");
  return {DistributedInput(*this, std::move(parts), input->num_steps, dataset.batch_size(),
                           dataset.source_files()),
          plan};
}

DistributedDataset Strategy::distribute_datasets_from_function(
    const std::function<data::Dataset(const InputContext&)>& make) const {
  const auto make_one = [&](int64_t number) {
    return make({.num_input_pipelines = impl_->num_input_pipelines(),
                 .input_pipeline_id = static_cast<int>(number),
                 .num_replicas_in_sync = num_replicas_in_sync()});
  };
  DistributedInput::Parts parts = workers().guard(
      "the making of a dataset", [&] { return DistributedInput::parts_of(*this, make_one); });
  return {DistributedInput(*this, std::move(parts), std::nullopt, -1, {}),
          "input is made by a function in each process"};
}

}  // namespace cohort::distribute
