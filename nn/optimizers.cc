#include "cohort/nn/optimizers.h"

#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/optimizer_options.h"

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

using MakeOptimizer = Optimizer (*)();

template <class O>
Optimizer make_default() {
  return O();
}

template <class... O>
Optimizer by_name(std::string_view name, const std::tuple<O...>*) {
  static constexpr internal::Named<MakeOptimizer> kKnown[] = {{O::kName, make_default<O>}...};
  return internal::find_named<MakeOptimizer>("optimizer", internal::lower_case(name), kKnown)();
}

Optimizer optimizer_by_name(std::string_view name) {
  return by_name(name, static_cast<const optimizers::GivenByName*>(nullptr));
}

}  // namespace

Optimizer::Optimizer(const char* name) : Optimizer(optimizer_by_name(name)) {}
Optimizer::Optimizer(const std::string& name) : Optimizer(optimizer_by_name(name)) {}

}  // namespace cohort::nn
