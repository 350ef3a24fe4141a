#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/tensor.h"

namespace cohort::nn {

/// Where the numbers of one initial value come from: random ones follow from (seed, path) and the
/// element's index alone, so they are the same on any number of replicas and in any order of
/// creation.
struct InitializerContext {
  uint64_t seed = 0;      ///< the program's (set_random_seed); an initializer's own seed wins
  std::string_view path;  ///< the variable's
};

/// Makes initial values. Given to layers by name ("glorot_uniform", "GlorotUniform"), as one of
/// nn::initializers, or as a function of shape and dtype.
class Initializer {
 public:
  using Function = std::function<Tensor(const Shape&, DType, const InitializerContext&)>;

  /// Throws InvalidArgument that lists the known names.
  Initializer(std::string_view name);                                     // NOLINT: given by name
  Initializer(const char* name) : Initializer(std::string_view(name)) {}  // NOLINT
  Initializer(Function function) : function_(std::move(function)) {}      // NOLINT
  /// Of one of nn::initializers, or of a user's options that convert to this.
  Initializer(Function function, std::any made_of)
      : function_(std::move(function)), made_of_(std::move(made_of)) {}

  Tensor operator()(const Shape& shape, DType dtype, const InitializerContext& context) const {
    return function_(shape, dtype, context);
  }
  /// The options; empty where a function was given.
  const std::any& made_of() const { return made_of_; }

 private:
  Function function_;
  std::any made_of_;
};

/// Keras' initializers. fan_in and fan_out are the last two dimensions, each times the receptive
/// field (the product of the others).
namespace initializers {

struct Zeros {
  operator Initializer() const;
};

struct Ones {
  operator Initializer() const;
};

struct Constant {
  double value = 0.0;

  operator Initializer() const;
};

struct RandomUniform {
  double minval = -0.05;
  double maxval = 0.05;
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct RandomNormal {
  double mean = 0.0;
  double stddev = 0.05;
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

/// A normal, drawn again outside two of its deviations.
struct TruncatedNormal {
  double mean = 0.0;
  double stddev = 0.05;
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

/// Variance scale / fan.
struct VarianceScaling {
  double scale = 1.0;
  std::string mode = "fan_in";                    ///< or "fan_out", "fan_avg"
  std::string distribution = "truncated_normal";  ///< or "untruncated_normal", "uniform"
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct GlorotUniform {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct GlorotNormal {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct HeUniform {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct HeNormal {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct LecunUniform {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

struct LecunNormal {
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

/// gain on the diagonal of a matrix, 0 elsewhere; InvalidArgument, when used, for another rank.
struct Identity {
  double gain = 1.0;

  operator Initializer() const;
};

/// Rows or columns orthonormal, times gain; rank 2 or more, flattened to [all but last, last].
struct Orthogonal {
  double gain = 1.0;
  std::optional<uint64_t> seed = {};

  operator Initializer() const;
};

}  // namespace initializers
}  // namespace cohort::nn
