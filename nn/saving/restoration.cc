#include "cohort/nn/saving/restoration.h"

#include <fmt/format.h>

#include "cohort/core/terminal.h"

namespace cohort::nn::internal {
namespace {

constexpr size_t kNamesShown = 10;

template <class Impl>
std::weak_ptr<Impl> weak(const std::shared_ptr<Impl>& impl) {
  return impl;
}

void check_types(const std::vector<SavedValue>& values, const checkpoint::SavedState& state) {
  std::vector<std::string> wrong;
  for (const SavedValue& value : values) {
    const checkpoint::TensorRecord* saved = state.manifest().find(value.name);
    if (!saved) continue;
    if (const Shape shape{std::span(saved->shape)};
        saved->dtype != value.dtype || shape != value.shape)
      wrong.push_back(fmt::format("{}: got {} {}; want {} {}", value.name, saved->dtype, shape,
                                  value.dtype, value.shape));
  }
  if (!wrong.empty())
    throw InvalidArgument("restore: {}: got other types than the objects have: {}",
                          state.directory(), some_of(wrong));
}

}  // namespace

std::string some_of(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesShown);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  if (shown < names.size()) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

Restoration::Restoration(std::unique_ptr<checkpoint::SavedState> state,
                         std::vector<checkpoint::Skipped> skipped, const TrackedObjects& objects)
    : state_(std::move(state)),
      path_(state_->directory()),
      step_(state_->manifest().step),
      skipped_(std::move(skipped)),
      facts_(state_->manifest().facts) {
  for (const auto& [name, object] : objects)
    std::visit([&](const auto& handle) { objects_.emplace_back(name, weak(handle.shared())); },
               object);
  NamedTensors training;
  for (const checkpoint::TensorRecord& tensor : state_->manifest().tensors)
    if (tensor.name.starts_with(TrainingState::kPrefix))
      training.set(tensor.name, state_->read(tensor));
    else
      unused_.insert(tensor.name);
  if (!training.empty()) training_ = TrainingState::from_tensors(training, "restore: " + path_);
}

TrackedObjects Restoration::living() const {
  TrackedObjects objects;
  const auto add = [&](const std::string& name, auto handle) {
    if (handle.defined()) objects.emplace_back(name, std::move(handle));
  };
  for (const auto& [name, object] : objects_) {
    if (const auto* layer = std::get_if<0>(&object)) add(name, Layer(layer->lock()));
    if (const auto* optimizer = std::get_if<1>(&object)) add(name, Optimizer(optimizer->lock()));
    if (const auto* metric = std::get_if<2>(&object)) add(name, Metric(metric->lock()));
    if (const auto* variable = std::get_if<3>(&object)) add(name, Variable(variable->lock()));
    if (const auto* items = std::get_if<4>(&object)) add(name, Resumable(items->lock()));
  }
  return objects;
}

void Restoration::begin() { take(walk(living())); }

void Restoration::parts_made() {
  if (state_) take(walk(living()));
}

/// Whether it is of an optimizer that has taken the place of the one whose values were restored: a
/// new one begins anew, slots included.
bool Restoration::came_later(const SavedValue& value) {
  if (!value.optimizer) return false;
  return optimizers_.emplace(value.optimizer_name, value.optimizer).first->second.lock() !=
         value.optimizer;
}

void Restoration::take(const Walked& walked) {
  std::vector<SavedValue> fresh;
  for (const SavedValue& value : walked.values)
    if (!seen_.contains(value.name) && !came_later(value)) fresh.push_back(value);
  check_types(fresh, *state_);
  for (const SavedValue& value : fresh) {
    seen_.insert(value.name);
    if (const checkpoint::TensorRecord* saved = state_->manifest().find(value.name)) {
      value.assign(state_->read(*saved));
      unused_.erase(value.name);
    } else {
      missing_.insert(value.name);
    }
  }
  complete_ = walked.complete;
  const bool is_done = unused_.empty();
  const auto observer = is_done ? nullptr : shared_from_this();
  for (const auto& [name, object] : living())
    if (const auto* layer = std::get_if<Layer>(&object)) (*layer)->observe_parts(observer);
  for (const Optimizer& optimizer : walked.optimizers) optimizer->observe_parts(observer);
  if (is_done) state_.reset();
}

std::string Restoration::warning() const {
  if (is_expected_) return "";
  std::string text;
  if (!missing_.empty())
    text += fmt::format("warning: restore: {}: has no value for {}\n", path_, some_of(missing()));
  if (complete_ && !unused_.empty())
    text += fmt::format("warning: restore: {}: nothing took the values of {}\n", path_,
                        some_of(unused()));
  return text;
}

}  // namespace cohort::nn::internal

namespace cohort::nn {

RestoreStatus::RestoreStatus(std::shared_ptr<internal::Restoration> restoration)
    : restoration_(std::move(restoration)) {
  last_copy_ = std::shared_ptr<void>(nullptr, [restoration = restoration_](void*) {
    if (const std::string warning = restoration->warning(); !warning.empty()) say(stderr, warning);
  });
}

const std::string& RestoreStatus::path() const { return restoration_->path(); }
uint64_t RestoreStatus::step() const { return restoration_->step(); }
const std::vector<checkpoint::Skipped>& RestoreStatus::skipped() const {
  return restoration_->skipped();
}
std::vector<std::string> RestoreStatus::missing() const { return restoration_->missing(); }
std::vector<std::string> RestoreStatus::unused() const { return restoration_->unused(); }

const std::optional<TrainingState>& RestoreStatus::training() const {
  return restoration_->training();
}
const std::vector<std::pair<std::string, std::string>>& RestoreStatus::facts() const {
  return restoration_->facts();
}

const RestoreStatus& RestoreStatus::assert_existing_objects_matched() const {
  if (const auto names = missing(); !names.empty())
    throw FailedPrecondition("restore: {}: got no value for {}; want one for each", path(),
                             internal::some_of(names));
  return expect_partial();
}

const RestoreStatus& RestoreStatus::assert_consumed() const {
  if (const auto names = unused(); !names.empty())
    throw FailedPrecondition(
        "restore: {}: got values that nothing has taken (yet): {}; want an object for each", path(),
        internal::some_of(names));
  return assert_existing_objects_matched();
}

const RestoreStatus& RestoreStatus::expect_partial() const {
  restoration_->expect_partial();
  return *this;
}

}  // namespace cohort::nn
