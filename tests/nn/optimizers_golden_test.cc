// Optimizers against 20 steps that Keras recorded.
#include "cohort/core/ops/math.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

/// Takes the arguments of a recorded case; what a case has and no class takes is an error.
class Arguments {
 public:
  Arguments(const Golden& golden, std::string group) : golden_(golden), group_(std::move(group)) {}

  void take(const char* name, double& option) {
    if (const auto value = of(name)) option = *value;
  }
  void take(const char* name, bool& option) {
    if (const auto value = of(name)) option = *value != 0;
  }
  void take(const char* name, std::optional<double>& option) {
    if (const auto value = of(name)) option = *value;
  }
  void take(const char* name, std::optional<int64_t>& option) {
    if (const auto value = of(name)) option = static_cast<int64_t>(*value);
  }

  /// An optimizer of one class, of the options that all have and `fields`.
  template <class Options, class... Fields>
  Optimizer make(std::pair<const char*, Fields Options::*>... fields) {
    Options options;
    if (const auto rate = of("learning_rate")) options.learning_rate = *rate;
    (take(fields.first, options.*fields.second), ...);
    take("weight_decay", options.weight_decay);
    take("clipnorm", options.clipnorm);
    take("clipvalue", options.clipvalue);
    take("global_clipnorm", options.global_clipnorm);
    take("use_ema", options.use_ema);
    take("ema_momentum", options.ema_momentum);
    take("ema_overwrite_frequency", options.ema_overwrite_frequency);
    take("loss_scale_factor", options.loss_scale_factor);
    take("gradient_accumulation_steps", options.gradient_accumulation_steps);
    return options;
  }

 private:
  std::optional<double> of(const std::string& name) const {
    const std::string path = group_ + "/" + name;
    return golden_.has(path) ? std::optional(golden_.number(path)) : std::nullopt;
  }

  const Golden& golden_;
  std::string group_;
};

template <class Options>
Optimizer adam(Arguments& arguments) {
  return arguments.make<Options>(
      std::pair("beta_1", &Options::beta_1), std::pair("beta_2", &Options::beta_2),
      std::pair("epsilon", &Options::epsilon), std::pair("amsgrad", &Options::amsgrad));
}

/// Adamax, Nadam, Lamb.
template <class Options>
Optimizer with_betas(Arguments& arguments) {
  return arguments.make<Options>(std::pair("beta_1", &Options::beta_1),
                                 std::pair("beta_2", &Options::beta_2),
                                 std::pair("epsilon", &Options::epsilon));
}

Optimizer ftrl(Arguments& arguments) {
  return arguments.make<Ftrl>(
      std::pair("learning_rate_power", &Ftrl::learning_rate_power),
      std::pair("initial_accumulator_value", &Ftrl::initial_accumulator_value),
      std::pair("l1_regularization_strength", &Ftrl::l1_regularization_strength),
      std::pair("l2_regularization_strength", &Ftrl::l2_regularization_strength),
      std::pair("l2_shrinkage_regularization_strength",
                &Ftrl::l2_shrinkage_regularization_strength),
      std::pair("beta", &Ftrl::beta));
}

Optimizer make_optimizer(const Golden& golden, const std::string& group) {
  using Make = Optimizer (*)(Arguments&);
  static const std::map<std::string, Make> kClasses{
      {"SGD",
       [](Arguments& a) {
         return a.make<SGD>(std::pair("momentum", &SGD::momentum),
                            std::pair("nesterov", &SGD::nesterov));
       }},
      {"Adam", adam<Adam>},
      {"AdamW", adam<AdamW>},
      {"RMSprop",
       [](Arguments& a) {
         return a.make<RMSprop>(
             std::pair("rho", &RMSprop::rho), std::pair("momentum", &RMSprop::momentum),
             std::pair("epsilon", &RMSprop::epsilon), std::pair("centered", &RMSprop::centered));
       }},
      {"Adagrad",
       [](Arguments& a) {
         return a.make<Adagrad>(
             std::pair("initial_accumulator_value", &Adagrad::initial_accumulator_value),
             std::pair("epsilon", &Adagrad::epsilon));
       }},
      {"Adadelta",
       [](Arguments& a) {
         return a.make<Adadelta>(std::pair("rho", &Adadelta::rho),
                                 std::pair("epsilon", &Adadelta::epsilon));
       }},
      {"Adamax", with_betas<Adamax>},
      {"Nadam", with_betas<Nadam>},
      {"Lion",
       [](Arguments& a) {
         return a.make<Lion>(std::pair("beta_1", &Lion::beta_1),
                             std::pair("beta_2", &Lion::beta_2));
       }},
      {"Ftrl", ftrl},
      {"Lamb", with_betas<Lamb>},
  };
  const std::string name = golden.text(group + "/optimizer");
  const auto found = kClasses.find(name);
  if (found == kClasses.end())
    throw InvalidArgument("{}: got optimizer {}; want one that this test makes", group, name);
  Arguments arguments(golden, group);
  return found->second(arguments);
}

void check(const Golden& golden, const std::string& name) {
  const std::string group = "optimizers/" + name;
  const Optimizer optimizer = make_optimizer(golden, group);
  const std::vector<Variable> variables{Variable(golden["start/a"], "a"),
                                        Variable(golden["start/b"], "b")};
  if (golden.has(group + "/exclude_b")) optimizer.exclude_from_weight_decay({variables[1]});
  const double scale = golden.number(group + "/gradient_scale");
  const Function step([&](std::span<const Value> in) {
    optimizer.apply_gradients(zip({Gradient(in[0] * scale), Gradient(in[1] * scale)}, variables));
    return std::vector<Value>();
  });
  for (int i = 1; i <= 20; ++i) {
    const std::string k = std::to_string(i);
    step(golden["gradient" + k + "/a"], golden["gradient" + k + "/b"]);
    if (i == 20 && golden.has(group + "/final")) optimizer.finalize_variable_values();
    if (!golden.has(group + "/a" + k)) continue;
    expect_near(variables[0].value(), golden[group + "/a" + k], 1e-5, group + "/a" + k);
    expect_near(variables[1].value(), golden[group + "/b" + k], 1e-5, group + "/b" + k);
  }
  const int64_t k = optimizer->options().gradient_accumulation_steps.value_or(1);
  EXPECT_EQ(optimizer.iterations(), 20 / k) << name;
}

TEST(OptimizersGoldenTest, TwentySteps) {
  const Golden golden("optimizers");
  for (const std::string& name : golden.cases("optimizers")) check(golden, name);
}

TEST(OptimizersGoldenTest, EveryClassHasCases) {
  const Golden golden("optimizers");
  std::set<std::string> classes;
  for (const std::string& name : golden.cases("optimizers"))
    classes.insert(golden.text("optimizers/" + name + "/optimizer"));
  EXPECT_EQ(classes.size(), 11u);
}

}  // namespace
}  // namespace cohort::nn
