#include "cohort/nn/optimizers/adam.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/update.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class AdamImpl final : public OptimizerImpl {
 public:
  template <class Options>  // Adam, AdamW
  explicit AdamImpl(const Options& options)
      : OptimizerImpl(optimizers::shared_options(options)),
        numbers_{options.beta_1, options.beta_2, options.epsilon, options.amsgrad} {
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    std::vector<SlotOptions> slots{{"momentum"}, {"velocity"}};
    if (numbers_.amsgrad) slots.push_back({"velocity_hat"});
    return slots;
  }
  void update_element(ElementUpdate& e) const override {
    ops::adam_body(e, e.number(ops::adam_alpha(e.learning_rate, e.step, numbers_)), numbers_);
  }
  void update(const Group& group) override {
    if (options().use_ema || group.constrained) return OptimizerImpl::update(group);
    const auto& variables = group.variables;
    ops::AdamOptions numbers = numbers_;
    numbers.weight_decay = group.weight_decay;
    ops::adam_update(group.states(), slots("momentum", variables), slots("velocity", variables),
                     numbers.amsgrad ? slots("velocity_hat", variables) : ops::Variables{},
                     group.gradients, group.learning_rate, group.step, group.apply, numbers);
  }

 private:
  ops::AdamOptions numbers_;
};

}  // namespace

Adam::operator Optimizer() const { return make<AdamImpl>(*this); }
AdamW::operator Optimizer() const { return make<AdamImpl>(*this); }

}  // namespace cohort::nn
