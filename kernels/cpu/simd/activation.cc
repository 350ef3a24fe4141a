#include "cohort/kernels/cpu/simd/activation.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec_math.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

template <class V>
using LaneOf = std::conditional_t<sizeof(std::declval<V>()[0]) == 4, float, double>;

// Per function: value(x), slope(v), and whether v is the output y or the input x.
struct Relu {
  static constexpr bool kFromOutput = true;
  template <class V>
  static V value(V x) {
    return max(V{}, x);
  }
  template <class V>
  static V slope(V y) {
    return y > V{} ? V{} + 1 : V{};
  }
};

struct Sigmoid {
  static constexpr bool kFromOutput = true;
  template <class V>
  static V value(V x) {
    return sigmoid(x);
  }
  template <class V>
  static V slope(V y) {
    return y * (1 - y);
  }
};

struct Tanh {
  static constexpr bool kFromOutput = true;
  template <class V>
  static V value(V x) {
    return tanh(x);
  }
  template <class V>
  static V slope(V y) {
    return 1 - y * y;
  }
};

struct Exp {
  static constexpr bool kFromOutput = true;
  template <class V>
  static V value(V x) {
    return exp(x);
  }
  template <class V>
  static V slope(V y) {
    return y;
  }
};

struct Expm1 {
  static constexpr bool kFromOutput = true;
  template <class V>
  static V value(V x) {
    return expm1(x);
  }
  template <class V>
  static V slope(V y) {
    return y + 1;
  }
};

struct Log {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V value(V x) {
    return log(x);
  }
  template <class V>
  static V slope(V x) {
    return 1 / x;
  }
};

struct Softplus {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V value(V x) {
    return max(V{}, x) + log1p_positive(exp(-abs(x)));
  }
  template <class V>
  static V slope(V x) {
    return sigmoid(x);
  }
};

struct Erf {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V value(V x) {
    return erf(x);
  }
  // 2 / sqrt(pi) e^(-x^2)
  template <class V>
  static V slope(V x) {
    return exp(-x * x) * LaneOf<V>(1.1283791670955126);
  }
};

struct Gelu {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V normal_cdf(V x) {
    using T = LaneOf<V>;
    return (erf(x * T(0.70710678118654752)) + 1) * T(0.5);
  }
  template <class V>
  static V value(V x) {
    return x * normal_cdf(x);
  }
  template <class V>
  static V slope(V x) {
    using T = LaneOf<V>;
    return normal_cdf(x) + x * exp(x * x * T(-0.5)) * T(0.39894228040143268);
  }
};

// y = x (1 + t) / 2 with t = tanh(u), u = sqrt(2 / pi) (x + 0.044715 x^3).
struct GeluTanh {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V t(V x) {
    using T = LaneOf<V>;
    return tanh((x + x * x * x * T(0.044715)) * T(0.79788456080286536));
  }
  template <class V>
  static V value(V x) {
    return x * (t(x) + 1) * LaneOf<V>(0.5);
  }
  template <class V>
  static V slope(V x) {
    using T = LaneOf<V>;
    const V tx = t(x);
    const V du = (x * x * T(3 * 0.044715) + 1) * T(0.79788456080286536);
    return ((tx + 1) + x * (1 - tx * tx) * du) * T(0.5);
  }
};

struct Elu {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V value(V x) {
    return x > V{} ? x : expm1(x);
  }
  template <class V>
  static V slope(V x) {
    return x > V{} ? V{} + 1 : exp(x);
  }
};

struct Selu {
  static constexpr bool kFromOutput = false;
  static constexpr double kAlpha = 1.6732632423543772;
  static constexpr double kScale = 1.0507009873554805;
  template <class V>
  static V value(V x) {
    using T = LaneOf<V>;
    return x > V{} ? x * T(kScale) : expm1(x) * T(kScale * kAlpha);
  }
  template <class V>
  static V slope(V x) {
    using T = LaneOf<V>;
    return x > V{} ? V{} + T(kScale) : exp(x) * T(kScale * kAlpha);
  }
};

struct Silu {
  static constexpr bool kFromOutput = false;
  template <class V>
  static V value(V x) {
    return x * sigmoid(x);
  }
  template <class V>
  static V slope(V x) {
    const V s = sigmoid(x);
    return s * (x * (1 - s) + 1);
  }
};

/// call(F{}) with the struct of f.
template <class Call>
void with_function(Unary f, Call call) {
  switch (f) {
    case Unary::kRelu:
      return call(Relu{});
    case Unary::kSigmoid:
      return call(Sigmoid{});
    case Unary::kTanh:
      return call(Tanh{});
    case Unary::kExp:
      return call(Exp{});
    case Unary::kExpm1:
      return call(Expm1{});
    case Unary::kLog:
      return call(Log{});
    case Unary::kSoftplus:
      return call(Softplus{});
    case Unary::kErf:
      return call(Erf{});
    case Unary::kGelu:
      return call(Gelu{});
    case Unary::kGeluTanh:
      return call(GeluTanh{});
    case Unary::kElu:
      return call(Elu{});
    case Unary::kSelu:
      return call(Selu{});
    case Unary::kSilu:
      return call(Silu{});
  }
}

template <class T>
void unary(Unary f, const T* x, T* y, Index count) {
  with_function(f, [&](auto function) {
    for_vectors<T>(count, [&](Index i, auto lanes) {
      store(y + i, decltype(function)::value(load(x + i, lanes)), lanes);
    });
  });
}

template <class T>
void unary_grad(Unary f, const T* dy, const T* x, const T* y, T* dx, Index count) {
  with_function(f, [&](auto function) {
    using F = decltype(function);
    const T* at = F::kFromOutput ? y : x;
    for_vectors<T>(count, [&](Index i, auto lanes) {
      store(dx + i, load(dy + i, lanes) * F::slope(load(at + i, lanes)), lanes);
    });
  });
}

template <class T>
void relu_grad(const T* dy, const T* y, T scale, T* dx, Index count) {
  for_vectors<T>(count, [&](Index i, auto lanes) {
    const VecInt<T> positive = load(y + i, lanes) > Vec<T>{};
    store(dx + i, keep_if<T>(positive, load(dy + i, lanes) * scale), lanes);
  });
}

template <class T>
void add_bias(const T* x, const T* bias, T* y, Index rows, Index columns, bool relu) {
  for (Index r = 0; r < rows; ++r, x += columns, y += columns)
    for_vectors<T>(columns, [&](Index c, auto lanes) {
      const Vec<T> sum = load(x + c, lanes) + load(bias + c, lanes);
      store(y + c, relu ? max(Vec<T>{}, sum) : sum, lanes);
    });
}

template <class T>
void add(ActivationRoutines<T>& routines) {
  routines.unary = unary<T>;
  routines.unary_grad = unary_grad<T>;
  routines.relu_grad = relu_grad<T>;
  routines.add_bias = add_bias<T>;
}

}  // namespace

void add_activation(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
