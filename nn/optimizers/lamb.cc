#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/optimizers/checks.h"

namespace cohort::nn {
namespace {

Value norm(Value x) { return ops::sqrt(ops::reduce_sum(ops::square(x))); }

// A step needs its own norm before it is taken: slots and steps are made of whole variables first,
// and the group's update takes the scaled steps for gradients.
class LambImpl final : public OptimizerImpl {
 public:
  explicit LambImpl(const Lamb& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override { return {{"momentum"}, {"velocity"}}; }
  void update(const Group& group) override {
    Group scaled = group;
    for (size_t i = 0; i < group.variables.size(); ++i) scaled.gradients[i] = scaled_step(group, i);
    by_element(scaled, {});
  }
  void update_element(ElementUpdate& e) const override {
    e.parameter = e.parameter - e.number(e.learning_rate) * e.gradient;
  }

 private:
  Value scaled_step(const Group& group, size_t i) const {
    const Value g = group.gradients[i];
    const Value m = kept("momentum", group, i, g, options_.beta_1);
    const Value v = kept("velocity", group, i, ops::square(g), options_.beta_2);
    const Value step =
        m / correction(group, options_.beta_1, g.dtype()) /
        (ops::sqrt(v / correction(group, options_.beta_2, g.dtype())) + options_.epsilon);
    Value weight = norm(group.variables[i].read());
    if (!group.weight_decay.empty())
      weight = weight * (1 - group.weight_decay[i] * ops::cast(group.learning_rate, g.dtype()));
    const Value zero = ops::zeros_like(weight), of_step = norm(step);
    const Value both = ops::logical_and(ops::greater(weight, zero), ops::greater(of_step, zero));
    return step * ops::where(both, weight / of_step, ops::ones_like(weight));
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
