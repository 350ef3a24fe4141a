#include "cohort/nn/optimizers/ftrl.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class FtrlImpl final : public OptimizerImpl {
 public:
  explicit FtrlImpl(const Ftrl& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_not_negative(name(), "initial_accumulator_value",
                                   options.initial_accumulator_value);
    if (!(options.learning_rate_power <= 0))
      throw InvalidArgument("{}: got learning_rate_power {}; want 0 or less", name(),
                            options.learning_rate_power);
    optimizers::check_not_negative(name(), "l1_regularization_strength",
                                   options.l1_regularization_strength);
    optimizers::check_not_negative(name(), "l2_regularization_strength",
                                   options.l2_regularization_strength);
    optimizers::check_not_negative(name(), "l2_shrinkage_regularization_strength",
                                   options.l2_shrinkage_regularization_strength);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    return {{"accumulator", options_.initial_accumulator_value}, {"linear"}};
  }
  Value root(Value x) const {
    const double power = -options_.learning_rate_power;
    return power == 0.5 ? ops::sqrt(x) : ops::pow(x, ops::ones_like(x) * power);
  }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient, p = e.parameter;
    Value &a = e.slot("accumulator"), &linear = e.slot("linear");
    const Value lr = e.learning_rate;
    Value shrunk = g;
    if (options_.l2_shrinkage_regularization_strength != 0)
      shrunk = g + 2 * options_.l2_shrinkage_regularization_strength * p;
    const Value grown = a + ops::square(g);
    const Value old_root = root(a), new_root = root(grown);
    linear = linear + shrunk - (new_root - old_root) * e.number(1 / lr) * p;
    const double l1 = options_.l1_regularization_strength;
    const Value l2 = 2 * options_.l2_regularization_strength + options_.beta / lr;
    const Value quadratic = new_root * e.number(1 / lr) + e.number(l2);
    e.parameter = (ops::clip(linear, -l1, l1) - linear) / quadratic;
    a = grown;
  }

 private:
  Ftrl options_;
};

}  // namespace

Ftrl::operator Optimizer() const { return make<FtrlImpl>(*this); }

}  // namespace cohort::nn
