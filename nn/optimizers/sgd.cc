#include "cohort/nn/optimizers/sgd.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/update.h"
#include "cohort/nn/internal/optimizer_options.h"

namespace cohort::nn {
namespace {

class SGDImpl final : public OptimizerImpl {
 public:
  explicit SGDImpl(const SGD& options)
      : OptimizerImpl(optimizers::shared_options(options)),
        momentum_(options.momentum),
        nesterov_(options.nesterov) {
    if (!(momentum_ >= 0 && momentum_ <= 1))
      throw InvalidArgument("{}: got momentum {}; want 0 to 1", name(), momentum_);
  }

 protected:
  std::vector<SlotOptions> slot_options() const override {
    return momentum_ == 0 ? std::vector<SlotOptions>{} : std::vector<SlotOptions>{{"momentum"}};
  }
  void update_element(ElementUpdate& e) const override {
    ops::sgd_body(e, e.number(e.learning_rate), {.momentum = momentum_, .nesterov = nesterov_});
  }
  void update(const Group& group) override {
    if (OptimizerImpl::options().use_ema || group.constrained) return OptimizerImpl::update(group);
    ops::sgd_update(
        group.states(), momentum_ == 0 ? ops::Variables{} : slots("momentum", group.variables),
        group.gradients, group.learning_rate, group.step, group.apply,
        {.momentum = momentum_, .nesterov = nesterov_, .weight_decay = group.weight_decay});
  }
  bool keeps_other_rows() const override { return momentum_ == 0; }

 private:
  double momentum_;
  bool nesterov_;
};

}  // namespace

SGD::operator Optimizer() const { return make<SGDImpl>(*this); }

}  // namespace cohort::nn
