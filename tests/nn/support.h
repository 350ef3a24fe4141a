#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <typeinfo>
#include <vector>

#include "cohort/core/runtime/function.h"
#include "cohort/nn/nn.h"
#include "tests/golden/golden.h"

namespace cohort::nn {

inline std::vector<double> numbers(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::kF64).contiguous();
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

/// |got - want| <= tolerance * (1 + |want|) everywhere, equal shapes.
inline void expect_near(const Tensor& got, const Tensor& want, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::vector<double> a = numbers(got), b = numbers(want);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << what << " at " << i;
}

/// Runs `body` once on concrete tensors.
inline std::vector<Tensor> run(const Function::Body& body, const std::vector<Tensor>& arguments) {
  return Function(body)(std::span<const Tensor>(arguments));
}

/// The message of the Error that `body` throws.
template <class Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace cohort::nn
