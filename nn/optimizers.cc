#include "cohort/nn/optimizers.h"

#include "cohort/nn/internal/names.h"
#include "cohort/nn/optimizers/checks.h"

namespace cohort::nn {
namespace optimizers {

void check_share(const std::string& optimizer, std::string_view what, double value) {
  if (!(value >= 0 && value < 1))
    throw InvalidArgument("{}: got {} {}; want 0 <= {} < 1", optimizer, what, value, what);
}

void check_not_negative(const std::string& optimizer, std::string_view what, double value) {
  if (!(value >= 0)) throw InvalidArgument("{}: got {} {}; want 0 or more", optimizer, what, value);
}

}  // namespace optimizers

namespace {

Optimizer optimizer_by_name(std::string_view name) {
  using Make = Optimizer (*)();
  static constexpr internal::Named<Make> kKnown[] = {
      {"sgd", [] { return Optimizer(SGD()); }},
      {"adam", [] { return Optimizer(Adam()); }},
      {"adamw", [] { return Optimizer(AdamW()); }},
      {"rmsprop", [] { return Optimizer(RMSprop()); }},
      {"adagrad", [] { return Optimizer(Adagrad()); }},
      {"adadelta", [] { return Optimizer(Adadelta()); }},
      {"adamax", [] { return Optimizer(Adamax()); }},
      {"nadam", [] { return Optimizer(Nadam()); }},
      {"lion", [] { return Optimizer(Lion()); }},
      {"ftrl", [] { return Optimizer(Ftrl()); }},
      {"lamb", [] { return Optimizer(Lamb()); }},
  };
  return internal::find_named<Make>("optimizer", internal::lower_case(name), kKnown)();
}

}  // namespace

Optimizer::Optimizer(const char* name) : Optimizer(optimizer_by_name(name)) {}
Optimizer::Optimizer(const std::string& name) : Optimizer(optimizer_by_name(name)) {}

}  // namespace cohort::nn
