#include <cmath>
#include <functional>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdActivationTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdActivationTest, ::testing::ValuesIn(available_isas()),
                         isa_suffix);

constexpr double kSqrtHalf = 0.70710678118654752;
constexpr double kSeluAlpha = 1.6732632423543772;
constexpr double kSeluScale = 1.0507009873554805;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

struct Definition {
  Unary f;
  const char* name;
  std::function<double(double)> value;
  double low, high;       // where it is tried
  double absolute_error;  // beside 4 ulp of the value
};

const std::vector<Definition>& definitions() {
  static const std::vector<Definition> all = {
      {Unary::kRelu, "relu", [](double x) { return x > 0 ? x : 0; }, -5, 5, 0},
      {Unary::kSigmoid, "sigmoid", sigmoid, -30, 30, 0},
      {Unary::kTanh, "tanh", [](double x) { return std::tanh(x); }, -10, 10, 0},
      {Unary::kExp, "exp", [](double x) { return std::exp(x); }, -80, 88, 0},
      {Unary::kExpm1, "expm1", [](double x) { return std::expm1(x); }, -20, 88, 0},
      {Unary::kLog, "log", [](double x) { return std::log(x); }, 1e-6, 50, 1e-7},
      {Unary::kSoftplus, "softplus", [](double x) { return std::log1p(std::exp(x)); }, -30, 30, 0},
      {Unary::kErf, "erf", [](double x) { return std::erf(x); }, -4, 4, 0},
      {Unary::kGelu, "gelu", [](double x) { return 0.5 * x * (1 + std::erf(x * kSqrtHalf)); }, -5,
       5, 6e-7},
      {Unary::kGeluTanh, "gelu_tanh", gelu_tanh, -5, 5, 6e-7},
      {Unary::kElu, "elu", [](double x) { return x > 0 ? x : std::expm1(x); }, -5, 5, 0},
      {Unary::kSelu, "selu",
       [](double x) { return kSeluScale * (x > 0 ? x : kSeluAlpha * std::expm1(x)); }, -5, 5, 0},
      {Unary::kSilu, "silu", [](double x) { return x * sigmoid(x); }, -20, 20, 0},
  };
  return all;
}

template <class T>
void expect_values(const Simd& simd, const Definition& d, std::ptrdiff_t n) {
  const Unaligned<T> x = random_values<T>(n, 7, d.low, d.high);
  Unaligned<T> y(n);
  simd.of<T>().unary(d.f, x.data(), y.data(), n);
  const double epsilon = std::numeric_limits<T>::epsilon();
  const double absolute = sizeof(T) == 4 ? d.absolute_error : d.absolute_error * 1e-8;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double want = d.value(x[i]);
    ASSERT_NEAR(y[i], want, 4 * epsilon * std::abs(want) + absolute)
        << d.name << "(" << x[i] << ")";
  }
  ASSERT_TRUE(y.guard_is_whole());
}

TEST_P(SimdActivationTest, ValuesAgreeWithTheDefinition) {
  for (const Definition& d : definitions()) {
    for (std::ptrdiff_t n : kOddSizes) {
      expect_values<float>(simd_, d, n);
      expect_values<double>(simd_, d, n);
    }
    expect_values<float>(simd_, d, 200000);
  }
}

TEST_P(SimdActivationTest, GradientsAgreeWithDifferenceQuotients) {
  const std::ptrdiff_t n = 333;
  for (const Definition& d : definitions()) {
    const Unaligned<double> x = random_values<double>(n, 9, std::max(d.low, -3.0) + 0.01, 3);
    const Unaligned<double> dy = random_values<double>(n, 10);
    Unaligned<double> y(n), dx(n);
    simd_.f64.unary(d.f, x.data(), y.data(), n);
    simd_.f64.unary_grad(d.f, dy.data(), x.data(), y.data(), dx.data(), n);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      const double h = 1e-6 * std::min(1.0, std::abs(x[i]));
      const double slope = (d.value(x[i] + h) - d.value(x[i] - h)) / (2 * h);
      ASSERT_NEAR(dx[i], dy[i] * slope, 1e-6 * (1 + std::abs(slope)))
          << d.name << "'(" << x[i] << ")";
    }
  }
}

TEST_P(SimdActivationTest, SinglePrecisionGradientsAgreeWithDouble) {
  const std::ptrdiff_t n = 77;
  for (const Definition& d : definitions()) {
    const Unaligned<float> x = random_values<float>(n, 9, std::max(d.low, -3.0) + 0.01, 3);
    Unaligned<float> dy(n, 1.0f), y(n), dx(n);
    Unaligned<double> x64(n), dy64(n, 1.0), y64(n), dx64(n);
    for (std::ptrdiff_t i = 0; i < n; ++i) x64[i] = x[i];
    simd_.f32.unary(d.f, x.data(), y.data(), n);
    simd_.f64.unary(d.f, x64.data(), y64.data(), n);
    simd_.f32.unary_grad(d.f, dy.data(), x.data(), y.data(), dx.data(), n);
    simd_.f64.unary_grad(d.f, dy64.data(), x64.data(), y64.data(), dx64.data(), n);
    for (std::ptrdiff_t i = 0; i < n; ++i)
      ASSERT_NEAR(dx[i], dx64[i], 2e-6 * (1 + std::abs(dx64[i]))) << d.name << " at " << x[i];
  }
}

TEST_P(SimdActivationTest, NanStaysNan) {
  const std::vector<float> x(19, std::numeric_limits<float>::quiet_NaN());
  for (const Definition& d : definitions()) {
    std::vector<float> y(x.size(), 1.0f);
    simd_.f32.unary(d.f, x.data(), y.data(), 19);
    for (float v : y) ASSERT_TRUE(std::isnan(v)) << d.name;
  }
}

TEST_P(SimdActivationTest, EndsOfTheRangeAreRight) {
  const float inf = std::numeric_limits<float>::infinity();
  const auto value = [&](Unary f, float x) {
    float y = 0;
    simd_.f32.unary(f, &x, &y, 1);
    return y;
  };
  EXPECT_EQ(value(Unary::kExp, inf), inf);
  EXPECT_EQ(value(Unary::kExp, 100), inf);
  EXPECT_EQ(value(Unary::kExp, -inf), 0);
  EXPECT_EQ(value(Unary::kExp, -200), 0);
  EXPECT_EQ(value(Unary::kExp, 0), 1);
  EXPECT_NEAR(value(Unary::kExp, -100), std::exp(-100.0), 1e-44);
  EXPECT_EQ(value(Unary::kExpm1, -inf), -1);
  EXPECT_EQ(value(Unary::kExpm1, inf), inf);
  EXPECT_EQ(value(Unary::kLog, 0), -inf);
  EXPECT_EQ(value(Unary::kLog, inf), inf);
  EXPECT_EQ(value(Unary::kLog, 1), 0);
  EXPECT_TRUE(std::isnan(value(Unary::kLog, -1)));
  EXPECT_NEAR(value(Unary::kLog, 1e-40f), std::log(double{1e-40f}), 1e-5);
  EXPECT_EQ(value(Unary::kTanh, inf), 1);
  EXPECT_EQ(value(Unary::kTanh, -inf), -1);
  EXPECT_EQ(value(Unary::kSigmoid, inf), 1);
  EXPECT_EQ(value(Unary::kSigmoid, -inf), 0);
  EXPECT_EQ(value(Unary::kErf, inf), 1);
  EXPECT_EQ(value(Unary::kErf, -inf), -1);
  EXPECT_EQ(value(Unary::kSoftplus, inf), inf);
  EXPECT_EQ(value(Unary::kSoftplus, -inf), 0);
}

TEST_P(SimdActivationTest, ReluGradPassesWhereTheOutputIsPositive) {
  for (std::ptrdiff_t n : kOddSizes) {
    const Unaligned<float> dy = random_values<float>(n, 1), y = random_values<float>(n, 2);
    Unaligned<float> dx(n, 9.0f);
    simd_.f32.relu_grad(dy.data(), y.data(), 1.25f, dx.data(), n);
    for (std::ptrdiff_t i = 0; i < n; ++i) ASSERT_EQ(dx[i], y[i] > 0 ? dy[i] * 1.25f : 0.0f);
    ASSERT_TRUE(dx.guard_is_whole());
  }
}

TEST_P(SimdActivationTest, AddBiasAddsToEveryRow) {
  for (std::ptrdiff_t columns : kOddSizes)
    for (bool relu : {false, true}) {
      const Unaligned<float> x = random_values<float>(3 * columns, 1),
                             b = random_values<float>(columns, 2);
      Unaligned<float> y(3 * columns);
      simd_.f32.add_bias(x.data(), b.data(), y.data(), 3, columns, relu);
      for (std::ptrdiff_t i = 0; i < 3 * columns; ++i) {
        const float sum = x[i] + b[i % columns];
        ASSERT_EQ(y[i], relu && sum < 0 ? 0.0f : sum);
      }
      ASSERT_TRUE(y.guard_is_whole());
    }
}

}  // namespace
}  // namespace cohort::cpu
