#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cohort/core/graph/op.h"
#include "cohort/core/ops/update_body.h"
#include "cohort/nn/handle.h"
#include "cohort/nn/learning_rate_schedules.h"
#include "cohort/nn/saving/parts_observer.h"
#include "cohort/nn/variable.h"

namespace cohort::nn {

class LossScale;
class Optimizer;

/// Hyper-parameters that all optimizers share, Keras'.
struct OptimizerOptions {
  LearningRate learning_rate;                  ///< a number, or a schedule
  std::optional<double> weight_decay = {};     ///< p -= decay * learning_rate * p before the update
  std::optional<double> clipnorm = {};         ///< of each gradient
  std::optional<double> clipvalue = {};        ///< of each element
  std::optional<double> global_clipnorm = {};  ///< of all gradients together
  /// Keeps a moving average of every weight, which takes the weight's place after every so many
  /// batches, if that is given, and when fit() ends.
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  /// The loss is multiplied by it before gradients are made of it (scale_loss), and they are
  /// divided by it before anything else.
  std::optional<double> loss_scale_factor = {};
  /// The means of this many batches' gradients are applied after every so many batches.
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "";
  /// Of tables whose gradient is slices (embeddings): a step reads and writes the rows alone that
  /// the gradient has, of the table and its slots. All other rows stay as they are, where Keras'
  /// result would let their momenta and second moments fade, their weights decay and move on.
  bool lazy_rows = false;
};

/// A variable that an optimizer keeps for each that it updates.
struct SlotOptions {
  std::string name;  ///< "momentum"
  double initial_value = 0;
};

/// What an optimizer makes of one element of every variable, recorded once for all of them
/// (core/ops/update_body.h): `gradient`, and `parameter` and slot(…) to be set to what they become.
class ElementUpdate : public ops::UpdateBody {
 public:
  /// learning_rate and step (from 1) are f64 scalars of the step, from which others are made that
  /// all elements share; number() brings them in. Weight decay is done.
  Value learning_rate, step;
  /// InvalidArgument for none that the optimizer has.
  Value& slot(const std::string& name);

 private:
  friend class OptimizerImpl;
  ElementUpdate(const std::string& optimizer, DType dtype, const std::vector<SlotOptions>& options,
                Value rate, Value step);
  std::vector<SlotOptions> options_;
};

/// What an optimizer is: it turns gradients into the ops that update variables. iterations and
/// learning_rate are variables, so that neither is frozen in a traced step; a scheduled rate is
/// computed in the step from iterations. Most say what becomes of one element, update_element().
class OptimizerImpl : public MadeOfOptions {
 public:
  using HandleType = Optimizer;
  explicit OptimizerImpl(OptimizerOptions options);
  virtual ~OptimizerImpl();

  /// Records the update of `variables` by gradients that are already summed over the replicas:
  /// accumulation, clipping, weight decay, update, iterations. Absent gradients leave their
  /// variables alone; FailedPrecondition when all are absent. Slices stay slices where the update
  /// changes nothing but their rows or lazy_rows is set (Unimplemented there for a variable with a
  /// constraint), and are the same as the dense gradient otherwise.
  void apply(const std::vector<Gradient>& gradients, const std::vector<Variable>& variables);
  /// Makes the slots for these variables, which are from then on all that this optimizer updates:
  /// FailedPrecondition, later and in apply(), for others. The first apply() does it.
  void build(const std::vector<Variable>& variables);

  const std::string& name() const { return options_.name; }
  /// Counts batches, those included whose gradients were only accumulated.
  const Variable& iterations() const { return iterations_; }
  int64_t batches_seen() const;
  /// The rate of the next step.
  double learning_rate() const;
  /// FailedPrecondition with a schedule.
  void set_learning_rate(double learning_rate) const;
  /// iterations, learning_rate (unless it is scheduled), states(), then the slots.
  std::vector<Variable> variables() const;
  /// What add_state() made, and the loss scale.
  const std::vector<Variable>& states() const { return states_; }
  bool built() const { return built_; }
  struct Slot {
    std::string name;    ///< "momentum"
    Variable of, value;  ///< the variable that it belongs to, and its own
  };
  /// In the order in which they were made.
  std::vector<Slot> slots() const;
  /// Tells `observer` when the slots have been made. Another takes its place.
  void observe_parts(std::shared_ptr<PartsObserver> observer) { observer_ = std::move(observer); }
  void exclude_from_weight_decay(const std::vector<Variable>& variables,
                                 const std::vector<std::string>& names);
  const OptimizerOptions& options() const { return options_; }
  /// With use_ema, the weights become their averages, as at the end of Keras' fit().
  void finalize_variable_values() const;
  /// Null without; its variables are among states().
  const LossScale* loss_scale() const { return loss_scale_.get(); }
  /// From the next trace on, in the place of loss_scale_factor. FailedPrecondition where there is
  /// one.
  void set_loss_scale(std::shared_ptr<LossScale> scale);

 protected:
  /// Variables of one dtype, to be updated by one node.
  struct Group {
    std::vector<Variable> variables;
    ops::Variables states() const;  ///< of these
    std::vector<Value> gradients;
    std::vector<double> weight_decay;  ///< one for each variable; empty: none
    Value learning_rate, step, apply;
    bool constrained = false;  ///< every variable has a constraint; by_element sees to it
  };
  /// Sets what becomes of parameter and slots. Elementwise ops alone.
  virtual void update_element(ElementUpdate& element) const;
  /// Once a step, before update: writes states. `step` is f64 [], from 1; `apply` bool [].
  virtual void update_states(Value step, Value apply);
  /// Records the update of a group: by_element with slot_options(), unless overridden. Who does
  /// other than update_element() says calls refuse_lazy_rows() when it is made.
  virtual void update(const Group& group);
  /// The update of a group as update_element says, with these slots.
  void by_element(const Group& group, std::vector<SlotOptions> slots);
  /// A number that the optimizer keeps and update_states() writes: an f64 variable "<name>".
  Variable add_state(const std::string& name, double initial_value);
  /// True when update_element leaves parameter and slots as they are where the gradient is 0.
  virtual bool keeps_other_rows() const { return false; }
  /// InvalidArgument where lazy_rows is set; `why` an element is not updated by itself.
  void refuse_lazy_rows(std::string_view why) const;
  /// The slots that one variable has.
  virtual std::vector<SlotOptions> slot_options() const { return {}; }
  /// Slot `name` of each variable.
  std::vector<std::shared_ptr<VariableState>> slots(const std::string& name,
                                                    const std::vector<Variable>& variables) const;

 private:
  void update_whole(const ElementUpdate& element, const Group& group,
                    const std::vector<SlotOptions>& names, Value apply) const;
  void update_rows(const Variable& variable, const Slices& gradient, Value learning_rate,
                   Value step, Value apply) const;
  void update_group(Group& group, Value learning_rate, Value step, Value apply);
  void unscale(std::vector<Gradient>& gradients, const std::vector<Variable>& variables);
  Value current_learning_rate() const;
  Value step_applies() const;
  void accumulate(std::vector<Gradient>& gradients, const std::vector<Variable>& variables,
                  Value applies);
  void clip(std::vector<Gradient>& gradients) const;
  bool keeps_slices(const Variable& variable) const;
  double decay_of(const Variable& variable) const;
  void check_known(const std::vector<Variable>& variables) const;
  Variable slot(const std::string& name, const Variable& variable) const;
  void add_slot(const SlotOptions& slot, const Variable& variable);
  std::vector<SlotOptions> all_slots() const;
  void add_average(ElementUpdate& element) const;
  void average_absent(const std::vector<Variable>& present) const;
  Value updates_made() const;
  Value average_momentum() const;
  Value average_overwrites() const;

  OptimizerOptions options_;
  Variable iterations_, learning_rate_;
  std::vector<Variable> built_for_, states_, slots_;
  std::vector<std::pair<std::string, Variable>> slot_owners_;  ///< of slots_, in their order
  std::shared_ptr<PartsObserver> observer_;
  std::map<std::pair<std::string, const VariableState*>, Variable> slot_of_;
  std::vector<Variable> excluded_;
  std::vector<std::string> excluded_names_;
  bool built_ = false;
  bool averaged_ = false;     ///< whether the last update of a group kept averages
  bool constrained_ = false;  ///< likewise, whether it minded constraints
  std::shared_ptr<LossScale> loss_scale_;
};

using GradientAndVariable = std::pair<Gradient, Variable>;

/// A handle to an optimizer. Given by name, in any case ("adam", "SGD"), or as its options
/// (nn/optimizers.h): `nn::Optimizer optimizer = nn::Adam{.learning_rate = 1e-3}`. It belongs to
/// one set of variables, those of build() or of its first step.
class Optimizer : public Handle<OptimizerImpl> {
 public:
  Optimizer() = default;
  explicit Optimizer(std::shared_ptr<OptimizerImpl> impl) : Handle(std::move(impl)) {}
  /// Throws InvalidArgument that lists the known names.
  Optimizer(const char* name);         // NOLINT: given by name
  Optimizer(const std::string& name);  // NOLINT

  /// Inside a traced function: sums the gradients over all replicas, then records the update.
  void apply_gradients(const std::vector<GradientAndVariable>& pairs) const;
  /// The same, Keras 3's form.
  void apply(const std::vector<Gradient>& gradients, const std::vector<Variable>& variables) const;
  void build(const std::vector<Variable>& variables) const { impl().build(variables); }

  /// Updates made, as in Keras: with gradient_accumulation_steps k, one for every k batches. The
  /// variable of that name counts batches, as do schedules and random ops.
  int64_t iterations() const;
  /// The rate of the next step.
  double learning_rate() const { return impl().learning_rate(); }
  /// Takes effect at the next step. FailedPrecondition where the rate is scheduled.
  void set_learning_rate(double learning_rate) const { impl().set_learning_rate(learning_rate); }
  std::vector<Variable> variables() const { return impl().variables(); }
  /// loss * loss_scale_factor, or times the dynamic scale, for custom loops; fit() does it.
  Value scale_loss(Value loss) const;
  /// With use_ema, the weights become their averages; fit() does it at its end.
  void finalize_variable_values() const { impl().finalize_variable_values(); }
  /// No weight decay for these, and for those whose path contains one of `names`. Before the first
  /// step.
  void exclude_from_weight_decay(const std::vector<Variable>& variables,
                                 const std::vector<std::string>& names = {}) const {
    impl().exclude_from_weight_decay(variables, names);
  }
};

/// The gradients of a scalar with respect to variables, inside a traced function: of this replica's
/// rows; apply_gradients sums them over the replicas.
std::vector<Gradient> gradients(Value loss, const std::vector<Variable>& variables);
/// Pairs for apply_gradients.
std::vector<GradientAndVariable> zip(const std::vector<Gradient>& gradients,
                                     const std::vector<Variable>& variables);

}  // namespace cohort::nn
