// Updates by what becomes of one element, and moving averages of what was updated.
#include <algorithm>

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/optimizer.h"

namespace cohort::nn {
namespace {

constexpr std::string_view kAverage = "average";

}  // namespace

ElementUpdate::ElementUpdate(const std::string& optimizer, DType dtype,
                             const std::vector<SlotOptions>& options, Value rate, Value step)
    : UpdateBody(optimizer, dtype, options.size(), rate.graph().ops()),
      learning_rate(rate),
      step(step),
      options_(options) {}

Value& ElementUpdate::slot(const std::string& name) {
  for (size_t i = 0; i < options_.size(); ++i)
    if (options_[i].name == name) return slots[i];
  throw InvalidArgument("{}: got slot {}; want one of slot_options()", this->name(), name);
}

ops::Variables OptimizerImpl::Group::states() const {
  ops::Variables states;
  for (const Variable& variable : variables) states.push_back(variable.shared());
  return states;
}

void OptimizerImpl::update_element(ElementUpdate&) const {
  throw Unimplemented("{}: got no update_element and no update; want one of them overridden",
                      name());
}

void OptimizerImpl::update_states(Value, Value) {}

Variable OptimizerImpl::add_state(const std::string& name, double initial_value) {
  states_.emplace_back(Tensor::scalar(initial_value), options_.name + "/" + name, false);
  return states_.back();
}

std::vector<SlotOptions> OptimizerImpl::all_slots() const {
  std::vector<SlotOptions> all = slot_options();
  if (options_.use_ema) all.push_back({std::string(kAverage)});
  return all;
}

void OptimizerImpl::update(const Group& group) { by_element(group, slot_options()); }

void OptimizerImpl::by_element(const Group& group, std::vector<SlotOptions> names) {
  if (options_.use_ema) names.push_back({std::string(kAverage)});
  ElementUpdate element(name(), group.variables[0].dtype(), names,
                        ops::cast(group.learning_rate, DType::kF64),
                        ops::cast(group.step, DType::kF64));
  const Value parameter = element.parameter;
  const std::vector<Value> before = element.slots;
  if (!group.weight_decay.empty()) element.decay(element.learning_rate);
  update_element(element);
  Value apply = group.apply;
  if (options_.use_ema && options_.gradient_accumulation_steps) {
    // Averages are kept in every batch; the rest stays as it is between updates.
    const Value now = ops::greater(element.number(ops::cast(apply, DType::kF64)),
                                   element.number(ops::scalar(0.5, DType::kF64)));
    element.parameter = ops::where(now, element.parameter, parameter);
    for (size_t i = 0; i + 1 < before.size(); ++i)  // all but the average
      element.slots[i] = ops::where(now, element.slots[i], before[i]);
    apply = ops::constant(Tensor::from(std::vector<bool>{true}, Shape{}));
  }
  if (options_.use_ema) add_average(element);
  averaged_ = constrained_ = true;
  if (group.constrained) return update_whole(element, group, names, apply);
  std::vector<ops::Variables> slots_of_each;
  for (const SlotOptions& slot : names) slots_of_each.push_back(slots(slot.name, group.variables));
  ops::elementwise_update(element, group.states(), slots_of_each, group.gradients, apply,
                          group.weight_decay);
}

void OptimizerImpl::refuse_lazy_rows(std::string_view why) const {
  if (options_.lazy_rows)
    throw InvalidArgument(
        "{}: got lazy_rows, but {}; want an optimizer that updates each element "
        "by itself, or no lazy_rows",
        name(), why);
}

void OptimizerImpl::update_rows(const Variable& variable, const Slices& gradient,
                                Value learning_rate, Value step, Value apply) const {
  const std::vector<SlotOptions> names = slot_options();
  ElementUpdate element(name(), variable.dtype(), names, ops::cast(learning_rate, DType::kF64),
                        ops::cast(step, DType::kF64));
  std::vector<double> weight_decay;
  if (options_.weight_decay && decay_of(variable) != 0) {
    element.decay(element.learning_rate);
    weight_decay.push_back(decay_of(variable));
  }
  update_element(element);
  ops::Variables slots_of_it;
  for (const SlotOptions& slot : names) slots_of_it.push_back(slots(slot.name, {variable}).front());
  ops::rows_update(
      element, variable.shared(), slots_of_it, gradient, apply,
      keeps_other_rows() && weight_decay.empty() ? ops::OtherRows::kAsDense : ops::OtherRows::kStay,
      weight_decay);
}

/// As Keras counts them here: whole updates.
Value OptimizerImpl::updates_made() const {
  const Value batches = iterations_.read();
  const int64_t steps = options_.gradient_accumulation_steps.value_or(1);
  return steps > 1 ? batches / static_cast<double>(steps) : batches;
}

/// 0 before the first update is made, so that the averages begin with the weights.
Value OptimizerImpl::average_momentum() const {
  const Value momentum = ops::scalar(options_.ema_momentum, DType::kF64);
  return ops::where(ops::equal(updates_made(), ops::scalar(0, DType::kI64)),
                    ops::zeros_like(momentum), momentum);
}

/// 1.0 in the batches after which averages take the weights' places.
Value OptimizerImpl::average_overwrites() const {
  const auto every = static_cast<double>(*options_.ema_overwrite_frequency);
  const Value batch = updates_made() + 1.0;
  return ops::cast(ops::equal(ops::floor_mod(batch, ops::scalar(every, DType::kI64)),
                              ops::scalar(0, DType::kI64)),
                   DType::kF64);
}

void OptimizerImpl::add_average(ElementUpdate& element) const {
  Value& average = element.slot(std::string(kAverage));
  const Value momentum = average_momentum();
  average = element.number(momentum) * average + element.number(1 - momentum) * element.parameter;
  if (!options_.ema_overwrite_frequency) return;
  const Value overwrites = ops::greater(element.number(average_overwrites()),
                                        element.number(ops::scalar(0.5, DType::kF64)));
  element.parameter = ops::where(overwrites, average, element.parameter);
}

/// Weights without a gradient have averages, too.
void OptimizerImpl::average_absent(const std::vector<Variable>& present) const {
  for (const Variable& variable : built_for_) {
    if (std::find(present.begin(), present.end(), variable) != present.end()) continue;
    const Value weight = variable.read();
    const Value momentum = ops::cast(average_momentum(), weight.dtype());
    const Variable kept = slot(std::string(kAverage), variable);
    const Value average = momentum * kept.read() + (1 - momentum) * weight;
    ops::assign(kept.shared(), average);
    if (!options_.ema_overwrite_frequency) continue;
    const Value overwrites = ops::cast(average_overwrites(), DType::kBool);
    ops::assign(variable.shared(), ops::where(overwrites, average, weight));
  }
}

void OptimizerImpl::finalize_variable_values() const {
  if (!options_.use_ema) return;
  for (const Variable& variable : built_for_)
    variable.assign(slot(std::string(kAverage), variable).value());
}

}  // namespace cohort::nn
