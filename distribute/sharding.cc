#include "cohort/distribute/sharding.h"

#include "cohort/core/error.h"

namespace cohort::distribute {

Sharding parse_sharding(std::string_view name) {
  if (name == "none") return Sharding::kNone;
  if (name == "zero1") return Sharding::kZero1;
  if (name == "zero2") return Sharding::kZero2;
  throw InvalidArgument("sharding: got \"{}\"; want none, zero1 or zero2", name);
}

}  // namespace cohort::distribute
