#include "cohort/nn/dtype_policy.h"

#include "cohort/core/error.h"

namespace cohort::nn {
namespace {

/// A part of the thread's scopes, as automatic names are.
DTypePolicy& policy_of_thread() {
  thread_local DTypePolicy policy = DType::kF32;
  return policy;
}

DType floating_dtype(const std::string& name) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64})
    if (dtype_name(dtype) == name) return dtype;
  throw InvalidArgument(
      "dtype policy: got \"{}\"; want one of mixed_bfloat16, mixed_float16, float32, float16, "
      "bfloat16, float64",
      name);
}

}  // namespace

DTypePolicy::DTypePolicy() : DTypePolicy(policy_of_thread()) {}

DTypePolicy::DTypePolicy(DType dtype) : compute_dtype_(dtype), variable_dtype_(dtype) {
  if (!is_floating(dtype))
    throw InvalidArgument("dtype policy: got dtype {}; want a floating one", dtype);
}

DTypePolicy::DTypePolicy(const char* name) : variable_dtype_(DType::kF32) {
  const std::string given = name;
  if (given == "mixed_bfloat16")
    compute_dtype_ = DType::kBF16;
  else if (given == "mixed_float16")
    compute_dtype_ = DType::kF16;
  else
    compute_dtype_ = variable_dtype_ = floating_dtype(given);
}

std::string DTypePolicy::name() const {
  return (is_mixed() ? "mixed_" : "") + std::string(dtype_name(compute_dtype_));
}

void set_dtype_policy(const DTypePolicy& policy) { policy_of_thread() = policy; }
DTypePolicy dtype_policy() { return policy_of_thread(); }

}  // namespace cohort::nn
