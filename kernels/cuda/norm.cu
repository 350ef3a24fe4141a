#include "cohort/kernels/cuda/norm.h"

#include "cohort/kernels/cuda/reduction.cuh"

// With h = (x - mean) r, r = 1 / sqrt(variance + epsilon), over M rows:
//   y = h gamma + beta
//   dbeta = sum dy;  dgamma = sum dy h;  dx = gamma r (dy - dbeta / M - h dgamma / M)
namespace cohort::cuda {
namespace {

// Sums of one number. Without rows every statistic is 0.
template <class S>
struct StatisticBase {
  using Value = Compute<S>;
  int64_t rows;
  S* result;
  __device__ Value first() const { return Value(0); }
  __device__ Value merge(Value a, Value b) const { return a + b; }
  __device__ void store(Value sum, int64_t channel) const {
    result[channel] = static_cast<S>(rows > 0 ? sum / static_cast<Value>(rows) : Value(0));
  }
};

template <class T, class S>
struct Mean : StatisticBase<S> {
  using Value = Compute<S>;
  const T* x;
  __device__ Value load(int64_t at, int64_t) const { return static_cast<Value>(x[at]); }
};

// A second pass over x, because sums of squares cancel.
template <class T, class S>
struct Variance : StatisticBase<S> {
  using Value = Compute<S>;
  const T* x;
  const S* mean;
  __device__ Value load(int64_t at, int64_t channel) const {
    const Value d = static_cast<Value>(x[at]) - static_cast<Value>(mean[channel]);
    return d * d;
  }
};

template <class T, class S>
struct Normalise {
  int64_t channels;
  double epsilon;
  const S *gamma, *beta, *mean, *variance;
  __device__ T operator()(int64_t i, T x) const {
    using C = Compute<T>;
    const int64_t c = i % channels;
    const C scale =
        static_cast<C>(gamma[c]) / sqrt(static_cast<C>(variance[c]) + static_cast<C>(epsilon));
    return static_cast<T>((static_cast<C>(x) - static_cast<C>(mean[c])) * scale +
                          static_cast<C>(beta[c]));
  }
};

template <class C>
struct Pair {
  C dbeta, dgamma;
};

template <class T, class S>
struct ParameterGradients {
  using C = Compute<T>;
  using Value = Pair<C>;
  double epsilon;
  const T *dy, *x;
  const S *mean, *variance;
  S *dgamma, *dbeta;
  __device__ Value first() const { return {C(0), C(0)}; }
  __device__ Value load(int64_t at, int64_t c) const {
    const C r = C(1) / sqrt(static_cast<C>(variance[c]) + static_cast<C>(epsilon));
    const C g = static_cast<C>(dy[at]);
    return {g, g * (static_cast<C>(x[at]) - static_cast<C>(mean[c])) * r};
  }
  __device__ Value merge(Value a, Value b) const {
    return {a.dbeta + b.dbeta, a.dgamma + b.dgamma};
  }
  __device__ void store(Value sum, int64_t c) const {
    dbeta[c] = static_cast<S>(sum.dbeta);
    dgamma[c] = static_cast<S>(sum.dgamma);
  }
};

template <class T, class S>
struct InputGradient {
  int64_t channels;
  int64_t rows;
  double epsilon;
  const S *gamma, *mean, *variance, *dgamma, *dbeta;
  __device__ T operator()(int64_t i, T dy, T x) const {
    using C = Compute<T>;
    const int64_t c = i % channels;
    const C count = static_cast<C>(rows);
    const C r = C(1) / sqrt(static_cast<C>(variance[c]) + static_cast<C>(epsilon));
    const C h = (static_cast<C>(x) - static_cast<C>(mean[c])) * r;
    const C centred = static_cast<C>(dy) - static_cast<C>(dbeta[c]) / count -
                      h * static_cast<C>(dgamma[c]) / count;
    return static_cast<T>(static_cast<C>(gamma[c]) * r * centred);
  }
};

// Calls run(Tag<T>, Tag<S>).
template <class Run>
bool visit_types(const BatchNormShape& shape, Run&& run) {
  bool taken = false;
  visit_floating(shape.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    taken = shape.parameters == shape.dtype || (kIsHalf<T> && shape.parameters == DType::kF32);
    if (shape.parameters == shape.dtype)
      run(tag, tag);
    else if constexpr (kIsHalf<T>)
      if (taken) run(tag, Tag<float>{});
  });
  return taken;
}

}  // namespace

bool batch_norm(const BatchNormShape& shape, const void* x, const void* gamma, const void* beta,
                void* y, void* mean, void* variance, void* workspace, cudaStream_t stream) {
  return visit_types(shape, [&](auto t, auto s) {
    using T = typename decltype(t)::type;
    using S = typename decltype(s)::type;
    const auto* data = static_cast<const T*>(x);
    const Mean<T, S> first = {{shape.rows, static_cast<S*>(mean)}, data};
    launch_reduction("batch_norm", first, shape.reduction, workspace, stream);
    const Variance<T, S> second = {
        {shape.rows, static_cast<S*>(variance)}, data, static_cast<const S*>(mean)};
    launch_reduction("batch_norm", second, shape.reduction, workspace, stream);
    const Normalise<T, S> normalise = {shape.channels,
                                       shape.epsilon,
                                       static_cast<const S*>(gamma),
                                       static_cast<const S*>(beta),
                                       static_cast<const S*>(mean),
                                       static_cast<const S*>(variance)};
    launch_walk("batch_norm", flat_walk(1, shape.rows * shape.channels), normalise, stream,
                static_cast<T*>(y), data);
  });
}

bool batch_norm_grad(const BatchNormShape& shape, const void* dy, const void* x, const void* gamma,
                     const void* mean, const void* variance, void* dx, void* dgamma, void* dbeta,
                     void* workspace, cudaStream_t stream) {
  return visit_types(shape, [&](auto t, auto s) {
    using T = typename decltype(t)::type;
    using S = typename decltype(s)::type;
    const ParameterGradients<T, S> parameters = {shape.epsilon,
                                                 static_cast<const T*>(dy),
                                                 static_cast<const T*>(x),
                                                 static_cast<const S*>(mean),
                                                 static_cast<const S*>(variance),
                                                 static_cast<S*>(dgamma),
                                                 static_cast<S*>(dbeta)};
    launch_reduction("batch_norm_grad", parameters, shape.reduction, workspace, stream);
    const InputGradient<T, S> input = {shape.channels,
                                       shape.rows,
                                       shape.epsilon,
                                       static_cast<const S*>(gamma),
                                       static_cast<const S*>(mean),
                                       static_cast<const S*>(variance),
                                       static_cast<const S*>(dgamma),
                                       static_cast<const S*>(dbeta)};
    launch_walk("batch_norm_grad", flat_walk(2, shape.rows * shape.channels), input, stream,
                static_cast<T*>(dx), static_cast<const T*>(dy), static_cast<const T*>(x));
  });
}

}  // namespace cohort::cuda
