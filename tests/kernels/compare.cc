#include "tests/kernels/compare.h"

#include <cmath>

#include "cohort/core/runtime/philox.h"

namespace cohort::testing {

Tensor random_tensor(DType dtype, Shape shape, uint64_t seed) {
  Tensor tensor(dtype, std::move(shape));
  visit_dtype(dtype, [&](auto type) {
    using T = decltype(type);
    T* x = tensor.data<T>();
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      const float u = philox_uniform_float(philox_word(seed, static_cast<uint64_t>(i)));
      if constexpr (std::is_same_v<T, bool>)
        x[i] = u < 0.5f;
      else
        x[i] = static_cast<T>(std::is_unsigned_v<T> ? u * 4 : u * 4 - 2);
    }
  });
  return tensor;
}

Tensor random_labels(int64_t count, int64_t limit, uint64_t seed) {
  Tensor tensor(DType::kI64, {count});
  for (int64_t i = 0; i < count; ++i)
    tensor.data<int64_t>()[i] = static_cast<int64_t>(philox_word(seed, static_cast<uint64_t>(i)) %
                                                     static_cast<uint64_t>(limit));
  return tensor;
}

void expect_near(const Tensor& got, const Tensor& want, double tolerance) {
  ASSERT_EQ(got.dtype(), want.dtype());
  ASSERT_EQ(got.shape(), want.shape());
  const Tensor a = got.cast(DType::kF64), b = want.cast(DType::kF64);
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    ASSERT_LE(std::fabs(x - y), tolerance * (1 + std::fabs(y)))
        << "element " << i << " of " << got.shape().to_string() << ": got " << x << ", want " << y;
  }
}

namespace {

void expect_equal_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b,
                       std::string_view what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(bitwise_equal(a[i], b[i])) << what << " " << i;
}

// Runs the case twice.
KernelResult run_again(const KernelCase& test, std::string_view implementation) {
  return on_own_thread([&]() -> KernelResult {
    BoundKernel kernel(test, implementation);
    if (!kernel.valid())
      throw Internal("{}: implementation {} does not take the case", test.op, implementation);
    kernel.run();
    kernel.run();
    return {kernel.outputs(), kernel.variables()};
  });
}

}  // namespace

void expect_like_plain(KernelCase test, std::string_view implementation, double tolerance) {
  SCOPED_TRACE(test.op);
  const KernelResult want = run_kernel(test, "plain");
  const KernelResult first = run_kernel(test, implementation);
  for (size_t i = 0; i < want.outputs.size(); ++i)
    expect_near(first.outputs[i], want.outputs[i], tolerance);
  for (size_t i = 0; i < want.variables.size(); ++i)
    expect_near(first.variables[i], want.variables[i], tolerance);
  for (const int threads : {2, 3}) {
    SCOPED_TRACE(threads);
    test.threads = threads;
    const KernelResult result = run_kernel(test, implementation);
    expect_equal_bits(result.outputs, first.outputs, "output");
    expect_equal_bits(result.variables, first.variables, "variable");
  }
  if (test.variables.empty())
    expect_equal_bits(run_again(test, implementation).outputs, first.outputs,
                      "second run's output");
}

}  // namespace cohort::testing
