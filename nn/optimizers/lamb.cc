#include "cohort/nn/optimizers/lamb.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

Value norm(Value x) { return ops::sqrt(ops::reduce_sum(ops::square(x))); }

// A step needs its own norm before it is taken: slots and steps are made of whole variables first,
// and the group's update takes the scaled steps for gradients.
class LambImpl final : public OptimizerImpl {
 public:
  explicit LambImpl(const Lamb& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    refuse_lazy_rows("its steps are scaled by the norms of whole variables");
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override { return {{"momentum"}, {"velocity"}}; }
  // All steps before the first norm: where each device has a part of them, their sums travel
  // together.
  void update(const Group& group) override {
    const DType dtype = group.variables[0].dtype();
    const Value of_m = correction(group, options_.beta_1, dtype);
    const Value of_v = correction(group, options_.beta_2, dtype);
    Group scaled = group;
    for (size_t i = 0; i < group.variables.size(); ++i) {
      const Value g = group.gradients[i];
      const Value m = kept("momentum", group, i, g, options_.beta_1);
      const Value v = kept("velocity", group, i, ops::square(g), options_.beta_2);
      scaled.gradients[i] = m / of_m / (ops::sqrt(v / of_v) + options_.epsilon);
    }
    for (size_t i = 0; i < group.variables.size(); ++i)
      scaled.gradients[i] = scaled.gradients[i] * ratio(group, i, scaled.gradients[i]);
    by_element(scaled, {});
  }
  void update_element(ElementUpdate& e) const override {
    e.parameter = e.parameter - e.number(e.learning_rate) * e.gradient;
  }

 private:
  /// |p| / |step|; 1 where one of them is 0.
  static Value ratio(const Group& group, size_t i, Value step) {
    Value weight = norm(group.variables[i].read());
    if (!group.weight_decay.empty())  // by which p is smaller when the step is taken
      weight =
          weight * (1 - group.weight_decay[i] * ops::cast(group.learning_rate, weight.dtype()));
    const Value zero = ops::zeros_like(weight), of_step = norm(step);
    const Value both = ops::logical_and(ops::greater(weight, zero), ops::greater(of_step, zero));
    return ops::where(both, weight / of_step, ops::ones_like(weight));
  }

  /// The slot with x in it, as it is from this step on.
  Value kept(const std::string& name, const Group& group, size_t i, Value x, double beta) const {
    const auto state = slots(name, {group.variables[i]}).front();
    const Value old = x.graph().read(state);
    const Value now = old + (x - old) * (1 - beta);
    ops::assign(state, ops::where(group.apply, now, old));
    return now;
  }

  static Value correction(const Group& group, double beta, DType dtype) {
    const Value t = ops::cast(group.step, DType::kF64);
    return ops::cast(1 - ops::pow(ops::scalar(beta, DType::kF64), t), dtype);
  }

  Lamb options_;
};

}  // namespace

Lamb::operator Optimizer() const { return make<LambImpl>(*this); }

}  // namespace cohort::nn
