#include "cohort/nn/internal/batches.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace cohort::nn::internal {
namespace {

int64_t rows_in(const data::Element& element) {
  return element.empty() || element.front().rank() == 0 ? 0 : element.front().size(0);
}

/// Of every global batch the rows of this process' replicas.
class GlobalBatches final : public Batches {
 public:
  GlobalBatches(data::Iterator iterator, size_t num_components)
      : iterator_(std::move(iterator)), num_components_(num_components) {}

  bool next() override {
    current_ = iterator_.next();
    if (!current_ || current_->size() == num_components_) return current_ != nullptr;
    first_.assign(current_->begin(), current_->begin() + static_cast<int64_t>(num_components_));
    current_ = &first_;
    return true;
  }
  void run(distribute::StepRunner& step, const distribute::StepNumber& number) override {
    step.run(*current_, iterator_.row_range(), number);
  }
  int64_t rows() const override { return rows_in(*current_); }
  /// Each process reads the same stream of global batches.
  std::string position() const override { return iterator_.position().to_bytes(); }

 private:
  data::Iterator iterator_;
  const size_t num_components_;
  data::Element first_;  ///< components, where there are more
  const data::Element* current_ = nullptr;
};

/// An element for each replica of this process.
class SplitBatches final : public Batches {
 public:
  SplitBatches(distribute::DistributedInput input, data::StepIterator iterator,
               size_t num_components)
      : input_(std::move(input)), iterator_(std::move(iterator)), num_components_(num_components) {}

  bool next() override {
    first_.clear();  // its memory may be written again
    current_ = iterator_.next();
    if (!current_ || current_->front().size() == num_components_) return current_ != nullptr;
    for (const data::Element& element : *current_)
      first_.emplace_back(element.begin(), element.begin() + static_cast<int64_t>(num_components_));
    current_ = &first_;
    return true;
  }
  void run(distribute::StepRunner& step, const distribute::StepNumber& number) override {
    step.run(*current_, number);
  }
  int64_t rows() const override {
    int64_t rows = 0;
    for (const data::Element& element : *current_) rows += rows_in(element);
    return rows;
  }
  std::string position() const override { return input_.position_of(iterator_).to_bytes(); }

 private:
  const distribute::DistributedInput input_;
  data::StepIterator iterator_;
  const size_t num_components_;
  std::vector<data::Element> first_;  ///< components of every element, where there are more
  const std::vector<data::Element>* current_ = nullptr;
};

}  // namespace

data::ElementSpec Input::element_spec() const {
  return std::visit([](const auto& source) { return source.element_spec(); }, source_);
}
int64_t Input::cardinality() const {
  return std::visit([](const auto& source) { return source.cardinality(); }, source_);
}
int64_t Input::batch_size() const {
  return std::visit([](const auto& source) { return source.batch_size(); }, source_);
}

std::vector<std::string> Input::files() const {
  std::vector<std::string> files;
  const auto paths = std::visit(
      [](const auto& source) -> std::vector<std::string> { return source.source_files(); },
      source_);
  for (const std::filesystem::path path : paths) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    files.push_back(fmt::format("{} {}", path.filename().string(),
                                error ? std::string("?") : std::to_string(bytes)));
  }
  return files;
}

void Input::check_belongs_to(const ModelImpl& model, std::string_view what) const {
  const auto* split = std::get_if<distribute::DistributedInput>(&source_);
  if (!split || split->strategy() == model.strategy()) return;
  const auto describe = [](const distribute::Strategy& strategy) {
    return fmt::format("{} with {} replicas", strategy.name(), strategy.num_replicas_in_sync());
  };
  throw InvalidArgument(
      "{}: got a dataset that {} has distributed for the model {}, which was made in the scope of "
      "another strategy, {}; want the dataset from that one, or one that is not distributed yet",
      what, describe(split->strategy()), model.name(), describe(model.strategy()));
}

ElementLayout layout_of(const ModelImpl& model, const Input& input, int num_inputs) {
  ElementLayout layout{.spec = input.element_spec(), .num_inputs = num_inputs};
  if (static_cast<int>(layout.spec.size()) < num_inputs)
    throw InvalidArgument("{}: got a dataset with {} components; want {} inputs first",
                          model.name(), layout.spec.size(), num_inputs);
  layout.batch_size = std::max<int64_t>(0, input.batch_size());
  return layout;
}

std::unique_ptr<Batches> Batches::iterate(const Input& input, const distribute::Strategy& strategy,
                                          size_t num_components,
                                          const data::IterateOptions& options) {
  if (const auto* split = input.split(strategy))
    return std::make_unique<SplitBatches>(*split, split->iterate_steps(options), num_components);
  return std::make_unique<GlobalBatches>(input.rows_for(strategy).iterate(options), num_components);
}

std::unique_ptr<Batches> Batches::resume(const Input& input, const distribute::Strategy& strategy,
                                         size_t num_components, const std::string& position,
                                         int64_t epochs) {
  if (const auto* split = input.split(strategy))
    return std::make_unique<SplitBatches>(
        *split, split->resume_steps(data::StepPosition::from_bytes(position), epochs),
        num_components);
  return std::make_unique<GlobalBatches>(
      input.rows_for(strategy).resume(data::Position::from_bytes(position), epochs),
      num_components);
}

const distribute::DistributedInput* Input::split(const distribute::Strategy& strategy) const {
  const auto* split = std::get_if<distribute::DistributedInput>(&source_);
  if (split) strategy.workers().check_equal("dataset", "distributed over the workers");
  return split;
}

data::Dataset Input::rows_for(const distribute::Strategy& strategy) const {
  const auto& dataset = std::get<data::Dataset>(source_);
  strategy.workers().check_equal(
      "dataset", fmt::format("{} batches of {}", dataset.cardinality(), dataset.batch_size()));
  const data::RowSplit split = strategy.impl().row_split();
  return split.count == split.num_replicas ? dataset : dataset.batch_rows(split);
}

}  // namespace cohort::nn::internal
