#include "cohort/nn/optimizers/adadelta.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class AdadeltaImpl final : public OptimizerImpl {
 public:
  explicit AdadeltaImpl(const Adadelta& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "rho", options.rho);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    return {{"accumulated_grad"}, {"accumulated_delta_var"}};
  }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value& a = e.slot("accumulated_grad");
    Value& s = e.slot("accumulated_delta_var");
    const auto root = [&](Value x) { return ops::sqrt(x + options_.epsilon); };
    a = options_.rho * a + (1 - options_.rho) * ops::square(g);
    const Value change = -(root(s) * g / root(a));
    s = options_.rho * s + (1 - options_.rho) * ops::square(change);
    e.parameter = e.parameter + e.number(e.learning_rate) * change;
  }

 private:
  Adadelta options_;
};

}  // namespace

Adadelta::operator Optimizer() const { return make<AdadeltaImpl>(*this); }

}  // namespace cohort::nn
