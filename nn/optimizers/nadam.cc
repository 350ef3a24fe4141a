#include "cohort/nn/optimizers/nadam.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class NadamImpl final : public OptimizerImpl {
 public:
  explicit NadamImpl(const Nadam& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
    product_ = add_state("u_product", 1.0);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override { return {{"momentum"}, {"velocity"}}; }
  /// Of the momentum in step t.
  Value factor(Value t) const {
    const Value decay = ops::pow(ops::scalar(0.96, DType::kF64), t);
    return options_.beta_1 * (1 - 0.5 * decay);
  }
  void update_states(Value step, Value apply) override {
    const Value product = product_.read();
    ops::assign(product_.shared(), ops::where(apply, product * factor(step), product));
  }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value &m = e.slot("momentum"), &v = e.slot("velocity");
    const Value u = factor(e.step), next_u = factor(e.step + 1.0);
    const Value product = product_.read() * u;
    const Value of_m = e.learning_rate * next_u / (1 - product * next_u);
    const Value of_g = e.learning_rate * (1 - u) / (1 - product);
    const Value power = ops::pow(ops::scalar(options_.beta_2, DType::kF64), e.step);
    m = ops::fma(g - m, 1 - options_.beta_1, m);
    v = ops::fma(ops::square(g) - v, 1 - options_.beta_2, v);
    const Value change = e.number(of_m) * m + e.number(of_g) * g;
    e.parameter =
        e.parameter - change / (ops::sqrt(v * e.number(1 / (1 - power))) + options_.epsilon);
  }

 private:
  Nadam options_;
  Variable product_;
};

}  // namespace

Nadam::operator Optimizer() const { return make<NadamImpl>(*this); }

}  // namespace cohort::nn
