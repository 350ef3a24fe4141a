#include <algorithm>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/loss_scale.h"
#include "cohort/nn/optimizer.h"

namespace cohort::nn {
namespace {

void check_positive(const std::string& name, std::string_view what, std::optional<double> value) {
  if (value && !(*value > 0))
    throw InvalidArgument("{}: got {} {}; want more than 0", name, what, *value);
}

void check_learning_rate(const std::string& name, double rate) {
  if (!(rate >= 0)) throw InvalidArgument("{}: got learning_rate {}; want 0 or more", name, rate);
}

Value sum_of_squares(Value x) { return ops::reduce_sum(ops::square(x)); }

/// limit / max(norm, limit): 1 for small gradients.
Value clipping_scale(Value norm, double limit) {
  const Value most = ops::scalar(limit, norm.dtype());
  return most / ops::maximum(norm, most);
}

std::string slot_path(const std::string& optimizer, const std::string& slot,
                      const Variable& variable) {
  return optimizer + "/" + variable.path() + "_" + slot;
}

constexpr std::string_view kAccumulator = "gradient_accumulator";

/// The elements of a gradient that may differ from 0.
Value numbers_of(const Gradient& gradient) {
  return gradient.is_slices() ? gradient.slices().values : gradient.dense();
}

void set_numbers(Gradient& gradient, Value numbers) {
  if (!gradient.is_slices()) {
    gradient = numbers;
    return;
  }
  Slices slices = gradient.slices();
  slices.values = numbers;
  gradient = slices;
}

/// The same with every row once.
Slices combined(const Slices& slices) {
  return ops::is_combined(slices) ? slices : ops::combine_slices(slices);
}

/// One for each, and not all absent.
void want_gradients_of(const std::string& name, const std::vector<Gradient>& gradients,
                       const std::vector<Variable>& variables) {
  if (gradients.size() != variables.size())
    throw InvalidArgument("{}: got {} gradients for {} variables; want one for each", name,
                          gradients.size(), variables.size());
  if (std::all_of(gradients.begin(), gradients.end(), [](const auto& g) { return g.absent(); }))
    throw FailedPrecondition(
        "{}: got no gradient for any of {} variables; want a loss that depends on them", name,
        variables.size());
}

}  // namespace

OptimizerImpl::~OptimizerImpl() = default;

OptimizerImpl::OptimizerImpl(OptimizerOptions options)
    : options_(std::move(options)),
      iterations_(Tensor::scalar<int64_t>(0), options_.name + "/iterations", false),
      learning_rate_(Tensor::scalar(static_cast<float>(options_.learning_rate.rate())),
                     options_.name + "/learning_rate", false) {
  check_learning_rate(name(), options_.learning_rate.rate());
  check_positive(name(), "clipnorm", options_.clipnorm);
  check_positive(name(), "clipvalue", options_.clipvalue);
  check_positive(name(), "global_clipnorm", options_.global_clipnorm);
  check_positive(name(), "loss_scale_factor", options_.loss_scale_factor);
  if (!(options_.ema_momentum >= 0 && options_.ema_momentum <= 1))
    throw InvalidArgument("{}: got ema_momentum {}; want 0 to 1", name(), options_.ema_momentum);
  if (options_.ema_overwrite_frequency &&
      (!options_.use_ema || *options_.ema_overwrite_frequency < 1))
    throw InvalidArgument(
        "{}: got ema_overwrite_frequency {}, use_ema {}; want 1 or more, and use_ema", name(),
        *options_.ema_overwrite_frequency, options_.use_ema);
  if (options_.clipnorm.has_value() + options_.clipvalue.has_value() +
          options_.global_clipnorm.has_value() >
      1)
    throw InvalidArgument(
        "{}: got more than one of clipnorm, clipvalue and global_clipnorm; want one", name());
  if (options_.weight_decay && !(*options_.weight_decay >= 0))
    throw InvalidArgument("{}: got weight_decay {}; want 0 or more", name(),
                          *options_.weight_decay);
  if (options_.lazy_rows && (options_.use_ema || options_.gradient_accumulation_steps))
    throw InvalidArgument(
        "{}: got lazy_rows and {}, which change every row in every step; want one of them", name(),
        options_.use_ema ? "use_ema" : "gradient_accumulation_steps");
  if (options_.gradient_accumulation_steps && *options_.gradient_accumulation_steps < 2)
    throw InvalidArgument("{}: got gradient_accumulation_steps {}; want 2 or more, or none", name(),
                          *options_.gradient_accumulation_steps);
}

void OptimizerImpl::add_slot(const SlotOptions& slot, const Variable& variable) {
  const auto& [name, initial_value] = slot;
  const auto key = std::pair(name, variable.shared().get());
  if (slot_of_.contains(key)) return;
  slots_.emplace_back(std::make_shared<VariableState>(
      variable.dtype(), variable.shape(),
      [dtype = variable.dtype(), shape = variable.shape(), value = initial_value] {
        return Tensor::full(dtype, shape, value);
      },
      VariableOptions{.name = slot_path(options_.name, name, variable), .trainable = false}));
  slot_of_[key] = slots_.back();
  slot_owners_.emplace_back(name, variable);
}

std::vector<OptimizerImpl::Slot> OptimizerImpl::slots() const {
  std::vector<Slot> slots;
  for (size_t i = 0; i < slots_.size(); ++i)
    slots.push_back({slot_owners_[i].first, slot_owners_[i].second, slots_[i]});
  return slots;
}

void OptimizerImpl::build(const std::vector<Variable>& variables) {
  if (built_) return check_known(variables);
  built_for_ = variables;
  for (const SlotOptions& slot : all_slots())
    for (const Variable& variable : variables) add_slot(slot, variable);
  if (options_.gradient_accumulation_steps)
    for (const Variable& variable : variables) add_slot({std::string(kAccumulator)}, variable);
  built_ = true;
  if (const std::shared_ptr<PartsObserver> observer = observer_) observer->parts_made();
}

// iterations counts the updates of one set of variables: others would start in the middle.
void OptimizerImpl::check_known(const std::vector<Variable>& variables) const {
  for (const Variable& variable : variables)
    if (std::find(built_for_.begin(), built_for_.end(), variable) == built_for_.end())
      throw FailedPrecondition(
          "{}: got variable {}; want one of the {} that it was built for ({}, …): make a new "
          "optimizer for others, or build() it with all of them before the first step",
          name(), variable.path(), built_for_.size(),
          built_for_.empty() ? "none" : built_for_.front().path());
}

Variable OptimizerImpl::slot(const std::string& name, const Variable& variable) const {
  return slot_of_.at(std::pair(name, variable.shared().get()));
}

std::vector<std::shared_ptr<VariableState>> OptimizerImpl::slots(
    const std::string& name, const std::vector<Variable>& variables) const {
  std::vector<std::shared_ptr<VariableState>> found;
  for (const Variable& variable : variables) found.push_back(slot(name, variable).shared());
  return found;
}

std::vector<Variable> OptimizerImpl::variables() const {
  std::vector<Variable> all{iterations_};
  if (!options_.learning_rate.is_scheduled()) all.push_back(learning_rate_);
  all.insert(all.end(), states_.begin(), states_.end());
  all.insert(all.end(), slots_.begin(), slots_.end());
  return all;
}

void OptimizerImpl::exclude_from_weight_decay(const std::vector<Variable>& variables,
                                              const std::vector<std::string>& names) {
  if (built_)
    throw FailedPrecondition(
        "{}: exclude_from_weight_decay: got a call after the first step; want "
        "it before",
        name());
  excluded_.insert(excluded_.end(), variables.begin(), variables.end());
  excluded_names_.insert(excluded_names_.end(), names.begin(), names.end());
}

double OptimizerImpl::decay_of(const Variable& variable) const {
  for (const Variable& excluded : excluded_)
    if (excluded == variable) return 0;
  for (const std::string& part : excluded_names_)
    if (variable.path().find(part) != std::string::npos) return 0;
  return *options_.weight_decay;
}

Value OptimizerImpl::current_learning_rate() const {
  if (!options_.learning_rate.is_scheduled()) return learning_rate_.read();
  const Value rate = options_.learning_rate.schedule()(iterations_.read());
  if (rate.dtype() != DType::kF32 || rate.rank() != 0)
    throw InvalidArgument("{}: got a scheduled learning rate {} {}; want float32 []", name(),
                          rate.dtype(), rate.shape());
  return rate;
}

/// True in the batches after which the variables change.
Value OptimizerImpl::step_applies() const {
  const int64_t steps = options_.gradient_accumulation_steps.value_or(1);
  if (steps == 1) return ops::constant(Tensor::from(std::vector<bool>{true}, Shape{}));
  const Value every = ops::scalar(static_cast<double>(steps), DType::kI64);
  const Value batch = iterations_.read() + 1.0;
  return ops::equal(ops::floor_mod(batch, every), ops::scalar(0, DType::kI64));
}

/// The means over the batches since the last update. Until then the sums grow.
void OptimizerImpl::accumulate(std::vector<Gradient>& gradients,
                               const std::vector<Variable>& variables, Value applies) {
  if (!options_.gradient_accumulation_steps) return;
  const auto steps = static_cast<double>(*options_.gradient_accumulation_steps);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable sum = slot(std::string(kAccumulator), variables[i]);
    const Value total = sum.read() + gradients[i].dense();
    ops::assign(sum.shared(), ops::where(applies, ops::zeros_like(total), total));
    gradients[i] = total / steps;
  }
}

void OptimizerImpl::clip(std::vector<Gradient>& gradients) const {
  Value global;
  if (options_.global_clipnorm) {
    std::vector<Value> squares;
    const DType dtype = numbers_of(gradients[0]).dtype();
    for (const Gradient& g : gradients)
      squares.push_back(ops::cast(sum_of_squares(numbers_of(g)), dtype));
    global = clipping_scale(ops::sqrt(ops::add_n(squares)), *options_.global_clipnorm);
  }
  for (Gradient& gradient : gradients) {
    const Value g = numbers_of(gradient);
    if (options_.clipvalue)
      set_numbers(gradient, ops::clip(g, -*options_.clipvalue, *options_.clipvalue));
    else if (options_.clipnorm)
      set_numbers(gradient, g * clipping_scale(ops::sqrt(sum_of_squares(g)), *options_.clipnorm));
    else if (options_.global_clipnorm)
      set_numbers(gradient, g * ops::cast(global, g.dtype()));
  }
}

bool OptimizerImpl::keeps_slices(const Variable& variable) const {
  if (options_.lazy_rows) {
    if (variable.constraint())
      throw Unimplemented(
          "{}: got lazy_rows, and a constraint of {}, which looks at all of it; want one of them",
          name(), variable.path());
    return true;
  }
  return keeps_other_rows() && !options_.gradient_accumulation_steps && !options_.use_ema &&
         !variable.constraint() && variable.shape()[0].number() <= ops::kLargestTable &&
         !(options_.weight_decay && decay_of(variable) != 0);
}

void OptimizerImpl::apply(const std::vector<Gradient>& gradients,
                          const std::vector<Variable>& variables) {
  want_gradients_of(name(), gradients, variables);
  std::vector<Gradient> ready;
  std::vector<Variable> present;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].absent()) continue;
    const bool sliced = gradients[i].is_slices() && keeps_slices(variables[i]);
    ready.push_back(sliced ? Gradient(combined(gradients[i].slices()))
                           : Gradient(gradients[i].dense()));
    if (options_.loss_scale_factor)
      set_numbers(ready.back(), numbers_of(ready.back()) / *options_.loss_scale_factor);
    present.push_back(variables[i]);
  }
  unscale(ready, present);
  build(variables);
  const Value updates = updates_made();
  const Value applies = step_applies();
  accumulate(ready, present, applies);
  clip(ready);
  const Value learning_rate = current_learning_rate();
  update_states(ops::cast(updates + 1.0, DType::kF64), applies);
  std::map<std::pair<DType, bool>, Group> groups;
  for (size_t i = 0; i < present.size(); ++i) {
    if (ready[i].is_slices()) {
      update_rows(present[i], ready[i].slices(), learning_rate, updates + 1.0, applies);
      continue;
    }
    const bool constrained = present[i].constraint() != nullptr;
    Group& group = groups[{present[i].dtype(), constrained}];
    group.constrained = constrained;
    group.variables.push_back(present[i]);
    group.gradients.push_back(ready[i].dense());
    if (options_.weight_decay) group.weight_decay.push_back(decay_of(present[i]));
  }
  for (auto& [kind, group] : groups) update_group(group, learning_rate, updates + 1.0, applies);
  if (options_.use_ema) average_absent(present);
  ops::assign_add(iterations_.shared(), ops::scalar(1, DType::kI64));
}

void OptimizerImpl::update_group(Group& group, Value learning_rate, Value step, Value apply) {
  group.learning_rate = learning_rate;
  group.step = step;
  group.apply = apply;
  averaged_ = constrained_ = false;
  update(group);
  if ((options_.use_ema && !averaged_) || (group.constrained && !constrained_))
    throw Unimplemented(
        "{}: got {}; want an optimizer that says what becomes of an element (update_element)",
        name(),
        group.constrained ? "a constraint of " + group.variables[0].path()
                          : std::string("use_ema"));
}

void OptimizerImpl::unscale(std::vector<Gradient>& gradients,
                            const std::vector<Variable>& variables) {
  if (!loss_scale_) return;
  std::vector<Value> numbers;
  for (const Gradient& gradient : gradients) numbers.push_back(numbers_of(gradient));
  loss_scale_->unscale(numbers, variables);
  for (size_t i = 0; i < gradients.size(); ++i) set_numbers(gradients[i], numbers[i]);
}

void OptimizerImpl::set_loss_scale(std::shared_ptr<LossScale> scale) {
  if (loss_scale_)
    throw FailedPrecondition("{}: got a second dynamic loss scale; want one", name());
  loss_scale_ = std::move(scale);
  options_.loss_scale_factor = {};
  for (const Variable& variable : loss_scale_->variables()) states_.push_back(variable);
}

void Optimizer::apply_gradients(const std::vector<GradientAndVariable>& pairs) const {
  std::vector<Gradient> gradients;
  std::vector<Variable> variables;
  for (const auto& [gradient, variable] : pairs) {
    gradients.push_back(gradient);
    variables.push_back(variable);
  }
  apply(gradients, variables);
}

void Optimizer::apply(const std::vector<Gradient>& gradients,
                      const std::vector<Variable>& variables) const {
  std::vector<Gradient> reduced = gradients;
  std::vector<Value> none;
  ops::sum_over_replicas(reduced, none);
  impl().apply(reduced, variables);
}

Value Optimizer::scale_loss(Value loss) const {
  if (impl().loss_scale()) return impl().loss_scale()->scaled(loss);
  const std::optional<double> factor = impl().options().loss_scale_factor;
  return factor ? loss * *factor : loss;
}

int64_t Optimizer::iterations() const {
  return impl().batches_seen() / impl().options().gradient_accumulation_steps.value_or(1);
}

int64_t OptimizerImpl::batches_seen() const { return iterations_.value().item<int64_t>(); }

double OptimizerImpl::learning_rate() const {
  if (options_.learning_rate.is_scheduled())
    return options_.learning_rate.schedule().at(iterations_.value().item<int64_t>());
  return learning_rate_.value().item<double>();
}
void OptimizerImpl::set_learning_rate(double learning_rate) const {
  if (options_.learning_rate.is_scheduled())
    throw FailedPrecondition(
        "{}: set_learning_rate: got an optimizer whose rate is scheduled; want one with a number",
        name());
  check_learning_rate(name(), learning_rate);
  learning_rate_.assign(Tensor::scalar(static_cast<float>(learning_rate)));
}

std::vector<Gradient> gradients(Value loss, const std::vector<Variable>& variables) {
  if (loss.rank() != 0)
    throw InvalidArgument("gradients: got a loss of shape {}; want a scalar", loss.shape());
  std::vector<Value> reads;
  for (const Variable& variable : variables) reads.push_back(loss.graph().read(variable.shared()));
  return cohort::gradients(loss, reads);
}

std::vector<GradientAndVariable> zip(const std::vector<Gradient>& gradients,
                                     const std::vector<Variable>& variables) {
  if (gradients.size() != variables.size())
    throw InvalidArgument("zip: got {} gradients and {} variables; want as many", gradients.size(),
                          variables.size());
  std::vector<GradientAndVariable> pairs;
  for (size_t i = 0; i < gradients.size(); ++i) pairs.emplace_back(gradients[i], variables[i]);
  return pairs;
}

}  // namespace cohort::nn
