#include "cohort/nn/optimizers/adamax.h"

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class AdamaxImpl final : public OptimizerImpl {
 public:
  explicit AdamaxImpl(const Adamax& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override { return {{"momentum"}, {"norm"}}; }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value &m = e.slot("momentum"), &u = e.slot("norm");
    const Value power = ops::pow(ops::scalar(options_.beta_1, DType::kF64), e.step);
    m = ops::fma(g - m, 1 - options_.beta_1, m);
    u = ops::maximum(options_.beta_2 * u, ops::abs(g));
    e.parameter =
        e.parameter - e.number(e.learning_rate / (1 - power)) * m / (u + options_.epsilon);
  }

 private:
  Adamax options_;
};

}  // namespace

Adamax::operator Optimizer() const { return make<AdamaxImpl>(*this); }

}  // namespace cohort::nn
