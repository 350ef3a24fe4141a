#include "cohort/nn/optimizers/rmsprop.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class RMSpropImpl final : public OptimizerImpl {
 public:
  explicit RMSpropImpl(const RMSprop& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "rho", options.rho);
    optimizers::check_share(name(), "momentum", options.momentum);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    std::vector<SlotOptions> slots{{"velocity"}};
    if (options_.momentum > 0) slots.push_back({"momentum"});
    if (options_.centered) slots.push_back({"average_gradient"});
    return slots;
  }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value& v = e.slot("velocity");
    v = ops::fma(ops::square(g) - v, 1 - options_.rho, v);
    Value divisor = v;
    if (options_.centered) {
      Value& average = e.slot("average_gradient");
      average = ops::fma(g - average, 1 - options_.rho, average);
      divisor = v - ops::square(average);
    }
    Value change = e.number(e.learning_rate) * g / ops::sqrt(divisor + options_.epsilon);
    if (options_.momentum > 0)
      change = e.slot("momentum") = ops::fma(e.slot("momentum"), options_.momentum, change);
    e.parameter = e.parameter - change;
  }

 private:
  RMSprop options_;
};

}  // namespace

RMSprop::operator Optimizer() const { return make<RMSpropImpl>(*this); }

}  // namespace cohort::nn
