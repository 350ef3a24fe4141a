#pragma once

#include <gtest/gtest.h>

#include "tests/kernels/kernel_harness.h"

namespace cohort::testing {

/// Numbers in [-2, 2) of any dtype (0 to 3 for unsigned and bool), the same for the same seed.
Tensor random_tensor(DType dtype, Shape shape, uint64_t seed = 1);
/// i64 in 0 … limit-1.
Tensor random_labels(int64_t count, int64_t limit, uint64_t seed = 1);

/// |got - want| <= tolerance * (1 + |want|) for each element, NaN equal to NaN.
void expect_near(const Tensor& got, const Tensor& want, double tolerance);

/// The implementation gives what the plain kernel gives, within tolerance; the same bits with 1, 2
/// and 3 threads; and again the same when it runs twice.
void expect_like_plain(KernelCase test, std::string_view implementation, double tolerance);

}  // namespace cohort::testing
