#pragma once

#include <string>

#include "cohort/core/dtype.h"

namespace cohort::nn {

/// In which dtype a layer computes, and in which its weights are kept. Given by name
/// ("mixed_bfloat16", "mixed_float16", or a floating dtype's, which is both), or as a DType:
/// `nn::Dense{.units = 10, .dtype = "mixed_bfloat16"}`, `.dtype = DType::kF64`. {} is the policy of
/// set_dtype_policy().
///
/// With a mixed policy weights are float32, and so are their gradients and updates; a layer's call
/// gets floating inputs, and reads weights, in the 16-bit dtype.
class DTypePolicy {
 public:
  DTypePolicy();
  DTypePolicy(DType dtype);             // NOLINT: InvalidArgument unless it is a floating one
  DTypePolicy(const char* name);        // NOLINT: InvalidArgument that lists the known names
  DTypePolicy(const std::string& name)  // NOLINT
      : DTypePolicy(name.c_str()) {}

  std::string name() const;
  DType compute_dtype() const { return compute_dtype_; }
  DType variable_dtype() const { return variable_dtype_; }
  bool is_mixed() const { return compute_dtype_ != variable_dtype_; }
  bool operator==(const DTypePolicy&) const = default;

 private:
  DType compute_dtype_, variable_dtype_;
};

/// The policy of layers and models made from now on by this thread without one of their own;
/// "float32" until then. Those that are there keep theirs.
void set_dtype_policy(const DTypePolicy& policy);
DTypePolicy dtype_policy();

}  // namespace cohort::nn
