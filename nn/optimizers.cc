#include "cohort/nn/optimizers.h"

#include "cohort/core/ops/update.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

template <class Options>
OptimizerOptions shared_options(const Options& options) {
  return {.learning_rate = options.learning_rate,
          .weight_decay = options.weight_decay,
          .clipnorm = options.clipnorm,
          .clipvalue = options.clipvalue,
          .global_clipnorm = options.global_clipnorm,
          .gradient_accumulation_steps = options.gradient_accumulation_steps,
          .name = options.name};
}

ops::Variables states_of(const std::vector<Variable>& variables) {
  ops::Variables states;
  for (const Variable& variable : variables) states.push_back(variable.shared());
  return states;
}

void check_share(const std::string& name, std::string_view what, double value) {
  if (!(value >= 0 && value < 1))
    throw InvalidArgument("{}: got {} {}; want 0 <= {} < 1", name, what, value, what);
}

class SGDImpl : public OptimizerImpl {
 public:
  explicit SGDImpl(const SGDOptions& options)
      : OptimizerImpl(shared_options(options)),
        momentum_(options.momentum),
        nesterov_(options.nesterov) {
    if (!(momentum_ >= 0 && momentum_ <= 1))
      throw InvalidArgument("{}: got momentum {}; want 0 to 1", name(), momentum_);
  }

 protected:
  std::vector<std::string> slot_names() const override {
    return momentum_ == 0 ? std::vector<std::string>{} : std::vector<std::string>{"momentum"};
  }
  void update(const Group& group) override {
    const ops::Variables momentums =
        momentum_ == 0 ? ops::Variables{} : slots("momentum", group.variables);
    ops::sgd_update(
        states_of(group.variables), momentums, group.gradients, group.learning_rate, group.step,
        group.apply,
        {.momentum = momentum_, .nesterov = nesterov_, .weight_decay = group.weight_decay});
  }
  bool updates_rows() const override { return momentum_ == 0; }
  void update_rows(const Variable& variable, const Slices& gradient, Value learning_rate,
                   Value apply) override {
    ops::sparse_sgd_update(variable.shared(), gradient, learning_rate, apply);
  }

 private:
  double momentum_;
  bool nesterov_;
};

class AdamImpl : public OptimizerImpl {
 public:
  explicit AdamImpl(const AdamOptions& options)
      : OptimizerImpl(shared_options(options)), options_(options) {
    check_share(name(), "beta_1", options.beta_1);
    check_share(name(), "beta_2", options.beta_2);
    if (!(options.epsilon >= 0))
      throw InvalidArgument("{}: got epsilon {}; want 0 or more", name(), options.epsilon);
  }

 protected:
  std::vector<std::string> slot_names() const override {
    std::vector<std::string> names{"momentum", "velocity"};
    if (options_.amsgrad) names.push_back("velocity_hat");
    return names;
  }
  void update(const Group& group) override {
    const auto& variables = group.variables;
    ops::adam_update(states_of(variables), slots("momentum", variables),
                     slots("velocity", variables),
                     options_.amsgrad ? slots("velocity_hat", variables) : ops::Variables{},
                     group.gradients, group.learning_rate, group.step, group.apply,
                     {.beta_1 = options_.beta_1,
                      .beta_2 = options_.beta_2,
                      .epsilon = options_.epsilon,
                      .amsgrad = options_.amsgrad,
                      .weight_decay = group.weight_decay});
  }

 private:
  AdamOptions options_;
};

Optimizer optimizer_by_name(std::string_view name) {
  using Make = Optimizer (*)();
  static constexpr internal::Named<Make> kKnown[] = {
      {"sgd", [] { return Optimizer(SGD()); }},
      {"adam", [] { return Optimizer(Adam()); }},
  };
  return internal::find_named<Make>("optimizer", internal::lower_case(name), kKnown)();
}

}  // namespace

Optimizer::Optimizer(const char* name) : Optimizer(optimizer_by_name(name)) {}
Optimizer::Optimizer(const std::string& name) : Optimizer(optimizer_by_name(name)) {}
SGD::SGD(SGDOptions options) : Optimizer(std::make_shared<SGDImpl>(options)) {}
Adam::Adam(AdamOptions options) : Optimizer(std::make_shared<AdamImpl>(options)) {}

}  // namespace cohort::nn
