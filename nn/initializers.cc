#include "cohort/nn/initializers.h"

#include <array>
#include <cmath>
#include <numbers>

#include "cohort/core/runtime/philox.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

/// The deviation of a standard normal that is truncated at two deviations.
constexpr double kTruncatedStddev = 0.87962566103423978;

using Seed = std::optional<uint64_t>;

/// Fills a tensor with draw(one random word of the element's index) or draw(two).
template <class Draw>
Tensor fill_random(const Shape& shape, DType dtype, const InitializerContext& context, Seed seed,
                   Draw draw) {
  const uint64_t key = philox_key(seed.value_or(context.seed), philox_stream(context.path), 0, 0);
  Tensor tensor(dtype, shape);
  const auto count = static_cast<uint64_t>(tensor.num_elements());
  visit_dtype(dtype, [&](auto zero) {
    using T = decltype(zero);
    T* out = static_cast<T*>(tensor.raw());
    std::array<uint32_t, 4> upper{}, lower{};
    for (uint64_t i = 0; i < count; ++i) {
      if (i % 4 == 0) upper = philox_block(key, i / 4, 0);
      double value = 0;
      if constexpr (std::is_invocable_v<Draw, uint32_t>) {
        value = draw(upper[i % 4]);
      } else {
        if (i % 4 == 0) lower = philox_block(key, i / 4, 1);
        value = draw(upper[i % 4], lower[i % 4]);
      }
      if constexpr (std::is_same_v<T, double>)
        out[i] = value;
      else
        out[i] = static_cast<T>(static_cast<float>(value));
    }
  });
  return tensor;
}

Initializer::Function uniform(double low, double high, Seed seed) {
  return [=](const Shape& shape, DType dtype, const InitializerContext& context) {
    return fill_random(shape, dtype, context, seed, [=](uint32_t word) {
      return low + (high - low) * static_cast<double>(philox_uniform_float(word));
    });
  };
}

Initializer::Function normal(double mean, double stddev, Seed seed) {
  return [=](const Shape& shape, DType dtype, const InitializerContext& context) {
    return fill_random(shape, dtype, context, seed, [=](uint32_t upper, uint32_t lower) {
      return mean + stddev * philox_normal(upper, lower);
    });
  };
}

/// The inverse of the standard normal's distribution function on (0.02, 0.98): Newton's method
/// from a logistic guess.
double normal_quantile(double p) {
  double x = std::log(p / (1 - p)) / 1.702;
  for (int i = 0; i < 6; ++i) {
    const double error = 0.5 * std::erfc(-x / std::numbers::sqrt2) - p;
    x -= error * std::sqrt(2 * std::numbers::pi) * std::exp(0.5 * x * x);
  }
  return x;
}

/// By inversion, so that every element takes exactly one number whatever it is.
Initializer::Function truncated_normal(double mean, double stddev, Seed seed) {
  const double tail = 0.5 * std::erfc(2 / std::numbers::sqrt2);
  return [=](const Shape& shape, DType dtype, const InitializerContext& context) {
    return fill_random(shape, dtype, context, seed, [=](uint32_t upper, uint32_t lower) {
      const double u = philox_uniform_double(upper, lower);
      return mean + stddev * normal_quantile(tail + (1 - 2 * tail) * u);
    });
  };
}

Initializer::Function constant(double value) {
  return [=](const Shape& shape, DType dtype, const InitializerContext&) {
    return Tensor::full(dtype, shape, value);
  };
}

struct Fans {
  double in = 1, out = 1;
};

Fans compute_fans(const Shape& shape) {
  const int rank = shape.rank();
  if (rank == 0) return {};
  if (rank == 1) return {static_cast<double>(shape.size(0)), static_cast<double>(shape.size(0))};
  const auto field = static_cast<double>(shape.num_elements(0, rank - 2));
  return {field * static_cast<double>(shape.size(rank - 2)),
          field * static_cast<double>(shape.size(rank - 1))};
}

Initializer::Function variance_scaling(double scale, const std::string& mode,
                                       const std::string& distribution, Seed seed) {
  if (scale <= 0) throw InvalidArgument("VarianceScaling: got scale {}; want more than 0", scale);
  internal::check_name("VarianceScaling", "mode", mode, {"fan_in", "fan_out", "fan_avg"});
  internal::check_name("VarianceScaling", "distribution", distribution,
                       {"truncated_normal", "untruncated_normal", "uniform"});
  return [=](const Shape& shape, DType dtype, const InitializerContext& context) {
    const Fans fans = compute_fans(shape);
    const double fan = mode == "fan_in"    ? fans.in
                       : mode == "fan_out" ? fans.out
                                           : (fans.in + fans.out) / 2;
    const double variance = scale / std::max(1.0, fan);
    const double stddev = std::sqrt(variance);
    if (distribution == "uniform") {
      const double limit = std::sqrt(3 * variance);
      return uniform(-limit, limit, seed)(shape, dtype, context);
    }
    if (distribution == "untruncated_normal") return normal(0, stddev, seed)(shape, dtype, context);
    return truncated_normal(0, stddev / kTruncatedStddev, seed)(shape, dtype, context);
  };
}

/// Gram and Schmidt, twice for accuracy, on `count` vectors of `size` numbers.
void orthonormalise(std::vector<double>& vectors, int64_t count, int64_t size) {
  for (int64_t i = 0; i < count; ++i) {
    double* v = &vectors[static_cast<size_t>(i * size)];
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const double* u = &vectors[static_cast<size_t>(j * size)];
        double dot = 0;
        for (int64_t k = 0; k < size; ++k) dot += u[k] * v[k];
        for (int64_t k = 0; k < size; ++k) v[k] -= dot * u[k];
      }
    }
    double norm = 0;
    for (int64_t k = 0; k < size; ++k) norm += v[k] * v[k];
    norm = std::sqrt(norm);
    for (int64_t k = 0; k < size; ++k) v[k] /= norm;
  }
}

Initializer::Function orthogonal(double gain, Seed seed) {
  return [=](const Shape& shape, DType dtype, const InitializerContext& context) {
    if (shape.rank() < 2)
      throw InvalidArgument("Orthogonal: got shape {}; want rank 2 or more", shape);
    const int64_t columns = shape.size(shape.rank() - 1), rows = shape.num_elements() / columns;
    const int64_t count = std::min(rows, columns), size = std::max(rows, columns);
    const Tensor random = normal(0, 1, seed)(Shape{count, size}, DType::kF64, context);
    std::vector<double> q(random.values<double>().begin(), random.values<double>().end());
    orthonormalise(q, count, size);
    Tensor result(DType::kF64, shape);
    double* out = result.data<double>();
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        out[r * columns + c] =
            gain * q[static_cast<size_t>(rows >= columns ? c * size + r : r * size + c)];
    return result.cast(dtype);
  };
}

Initializer::Function identity(double gain) {
  return [gain](const Shape& shape, DType dtype, const InitializerContext&) {
    if (shape.rank() != 2) throw InvalidArgument("Identity: got shape {}; want rank 2", shape);
    Tensor result(DType::kF64, shape);
    for (int64_t i = 0; i < std::min(shape.size(0), shape.size(1)); ++i)
      result.data<double>()[i * shape.size(1) + i] = gain;
    return result.cast(dtype);
  };
}

Initializer initializer_by_name(std::string_view name) {
  namespace i = initializers;
  using Make = Initializer (*)();
  static constexpr internal::Named<Make> kKnown[] = {
      {"zeros", [] { return Initializer(i::Zeros()); }},
      {"zero", [] { return Initializer(i::Zeros()); }},
      {"ones", [] { return Initializer(i::Ones()); }},
      {"one", [] { return Initializer(i::Ones()); }},
      {"identity", [] { return Initializer(i::Identity()); }},
      {"random_uniform", [] { return Initializer(i::RandomUniform()); }},
      {"uniform", [] { return Initializer(i::RandomUniform()); }},
      {"normal", [] { return Initializer(i::RandomNormal()); }},
      {"random_normal", [] { return Initializer(i::RandomNormal()); }},
      {"truncated_normal", [] { return Initializer(i::TruncatedNormal()); }},
      {"glorot_uniform", [] { return Initializer(i::GlorotUniform()); }},
      {"glorot_normal", [] { return Initializer(i::GlorotNormal()); }},
      {"he_uniform", [] { return Initializer(i::HeUniform()); }},
      {"he_normal", [] { return Initializer(i::HeNormal()); }},
      {"lecun_uniform", [] { return Initializer(i::LecunUniform()); }},
      {"lecun_normal", [] { return Initializer(i::LecunNormal()); }},
      {"variance_scaling", [] { return Initializer(i::VarianceScaling()); }},
      {"orthogonal", [] { return Initializer(i::Orthogonal()); }},
  };
  return internal::find_named_class<Make>("initializer", name, kKnown)();
}

}  // namespace

Initializer::Initializer(std::string_view name) : Initializer(initializer_by_name(name)) {}

namespace initializers {

Zeros::operator Initializer() const { return {constant(0), *this}; }
Ones::operator Initializer() const { return {constant(1), *this}; }
Constant::operator Initializer() const { return {constant(value), *this}; }
RandomUniform::operator Initializer() const { return {uniform(minval, maxval, seed), *this}; }
RandomNormal::operator Initializer() const { return {normal(mean, stddev, seed), *this}; }
TruncatedNormal::operator Initializer() const {
  return {truncated_normal(mean, stddev, seed), *this};
}
VarianceScaling::operator Initializer() const {
  return {variance_scaling(scale, mode, distribution, seed), *this};
}
GlorotUniform::operator Initializer() const {
  return {variance_scaling(1, "fan_avg", "uniform", seed), *this};
}
GlorotNormal::operator Initializer() const {
  return {variance_scaling(1, "fan_avg", "truncated_normal", seed), *this};
}
HeUniform::operator Initializer() const {
  return {variance_scaling(2, "fan_in", "uniform", seed), *this};
}
HeNormal::operator Initializer() const {
  return {variance_scaling(2, "fan_in", "truncated_normal", seed), *this};
}
LecunUniform::operator Initializer() const {
  return {variance_scaling(1, "fan_in", "uniform", seed), *this};
}
LecunNormal::operator Initializer() const {
  return {variance_scaling(1, "fan_in", "truncated_normal", seed), *this};
}
Identity::operator Initializer() const { return {identity(gain), *this}; }
Orthogonal::operator Initializer() const { return {orthogonal(gain, seed), *this}; }

}  // namespace initializers
}  // namespace cohort::nn
