#include "cohort/nn/optimizers/lion.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class LionImpl final : public OptimizerImpl {
 public:
  explicit LionImpl(const Lion& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_share(name(), "beta_1", options.beta_1);
    optimizers::check_share(name(), "beta_2", options.beta_2);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override { return {{"momentum"}}; }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value& m = e.slot("momentum");
    const Value direction = ops::sign(options_.beta_1 * m + (1 - options_.beta_1) * g);
    e.parameter = e.parameter - e.number(e.learning_rate) * direction;
    m = options_.beta_2 * m + (1 - options_.beta_2) * g;
  }

 private:
  Lion options_;
};

}  // namespace

Lion::operator Optimizer() const { return make<LionImpl>(*this); }

}  // namespace cohort::nn
