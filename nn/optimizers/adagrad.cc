#include "cohort/nn/optimizers/adagrad.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class AdagradImpl final : public OptimizerImpl {
 public:
  explicit AdagradImpl(const Adagrad& options)
      : OptimizerImpl(optimizers::shared_options(options)), options_(options) {
    optimizers::check_not_negative(name(), "initial_accumulator_value",
                                   options.initial_accumulator_value);
    optimizers::check_not_negative(name(), "epsilon", options.epsilon);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    return {{"accumulator", options_.initial_accumulator_value}};
  }
  void update_element(ElementUpdate& e) const override {
    const Value g = e.gradient;
    Value& a = e.slot("accumulator");
    a = a + ops::square(g);
    e.parameter = e.parameter - e.number(e.learning_rate) * g / ops::sqrt(a + options_.epsilon);
  }
  // 0 / sqrt(0 + 0) would be no number.
  bool keeps_other_rows() const override {
    return options_.initial_accumulator_value > 0 || options_.epsilon > 0;
  }

 private:
  Adagrad options_;
};

}  // namespace

Adagrad::operator Optimizer() const { return make<AdagradImpl>(*this); }

}  // namespace cohort::nn
