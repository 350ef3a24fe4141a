#include "cohort/kernels/cpu/simd/softmax.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec_math.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

template <class T>
constexpr T kLowest = -__builtin_inff();

double log_of(double x) { return __builtin_log(x); }
float log_of(float x) { return __builtin_logf(x); }

template <class T>
T max_of_row(const T* x, Index columns) {
  Vec<T> m = broadcast(kLowest<T>);
  for_vectors<T>(columns, [&](Index c, auto lanes) {
    m = max_or_nan<T>(m, load_or(x + c, kLowest<T>, lanes));
  });
  return max_lanes<T>(m);
}

/// y = e^(x - highest); returns its sum. y may be null.
template <class T>
T exp_of_row(const T* x, T highest, T* y, Index columns) {
  Vec<T> sum = {};
  for_vectors<T>(columns, [&](Index c, auto lanes) {
    const Vec<T> e = exp(load(x + c, lanes) - highest);
    if (y) store(y + c, e, lanes);
    sum = sum + zero_outside<T>(e, lanes);
  });
  return sum_lanes<T>(sum);
}

template <class T>
void softmax(const T* x, T* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, x += columns, y += columns) {
    const T scale = 1 / exp_of_row(x, max_of_row(x, columns), y, columns);
    for_vectors<T>(columns,
                   [&](Index c, auto lanes) { store(y + c, load(y + c, lanes) * scale, lanes); });
  }
}

template <class T>
void log_softmax(const T* x, T* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, x += columns, y += columns) {
    const T highest = max_of_row(x, columns);
    const T log_sum = log_of(exp_of_row<T>(x, highest, nullptr, columns));
    for_vectors<T>(columns, [&](Index c, auto lanes) {
      store(y + c, load(x + c, lanes) - highest - log_sum, lanes);
    });
  }
}

template <class T>
void softmax_grad(const T* dy, const T* y, T* dx, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, dy += columns, y += columns, dx += columns) {
    Vec<T> products = {};
    for_vectors<T>(columns, [&](Index c, auto lanes) {
      products = fma(load(dy + c, lanes), load(y + c, lanes), products);
    });
    const T sum = sum_lanes<T>(products);
    for_vectors<T>(columns, [&](Index c, auto lanes) {
      store(dx + c, load(y + c, lanes) * (load(dy + c, lanes) - sum), lanes);
    });
  }
}

template <class T>
void log_softmax_grad(const T* dy, const T* y, T* dx, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, dy += columns, y += columns, dx += columns) {
    Vec<T> sums = {};
    for_vectors<T>(columns, [&](Index c, auto lanes) { sums = sums + load(dy + c, lanes); });
    const T sum = sum_lanes<T>(sums);
    for_vectors<T>(columns, [&](Index c, auto lanes) {
      store(dx + c, load(dy + c, lanes) - exp(load(y + c, lanes)) * sum, lanes);
    });
  }
}

template <class T, class L>
Index sparse_cross_entropy(const SparseCrossEntropyArgs<T, L>& s) {
  Index bad_row = -1;
  for (Index r = 0; r < s.rows; ++r) {
    const T* x = s.logits + r * s.columns;
    T* backprop = s.backprop ? s.backprop + r * s.columns : nullptr;
    const Index label = static_cast<Index>(s.labels[r]);
    const bool good = label >= 0 && label < s.columns;
    if (!good && bad_row < 0) bad_row = r;
    const T nan = __builtin_nanf("");
    const T scale = !good ? nan : s.row_scale ? s.row_scale[r] : T{1};
    const T of_label = good ? x[label] : nan;

    const T highest = max_of_row(x, s.columns);
    const T sum = exp_of_row(x, highest, backprop, s.columns);
    s.loss[r] = log_of(sum) - (of_label - highest);
    if (!backprop) continue;
    const T factor = scale / sum;
    for_vectors<T>(s.columns, [&](Index c, auto lanes) {
      store(backprop + c, load(backprop + c, lanes) * factor, lanes);
    });
    if (good) backprop[label] -= scale;
  }
  return bad_row;
}

template <class T>
void cross_entropy(const CrossEntropyArgs<T>& s) {
  for (Index r = 0; r < s.rows; ++r) {
    const T* x = s.logits + r * s.columns;
    const T* labels = s.labels + r * s.columns;
    const T highest = max_of_row(x, s.columns);
    const T sum = exp_of_row<T>(x, highest, nullptr, s.columns);
    const T log_sum = log_of(sum);
    const T scale = s.row_scale ? s.row_scale[r] : T{1};
    T* backprop = s.backprop ? s.backprop + r * s.columns : nullptr;
    Vec<T> label_sums = {};
    for_vectors<T>(s.columns,
                   [&](Index c, auto lanes) { label_sums = label_sums + load(labels + c, lanes); });
    const T share = sum_lanes<T>(label_sums) / sum;
    Vec<T> losses = {};
    for_vectors<T>(s.columns, [&](Index c, auto lanes) {
      const Vec<T> p = load(labels + c, lanes);
      const Vec<T> shifted = load(x + c, lanes) - highest;
      // A class of probability 0 adds nothing, be its logit -inf.
      const Vec<T> zero = {};
      losses = losses + (p == zero ? zero : p * (log_sum - shifted));
      if (backprop) store(backprop + c, (exp(shifted) * share - p) * scale, lanes);
    });
    s.loss[r] = sum_lanes<T>(losses);
  }
}

template <class T>
void add(SoftmaxRoutines<T>& routines) {
  routines.softmax = softmax<T>;
  routines.log_softmax = log_softmax<T>;
  routines.softmax_grad = softmax_grad<T>;
  routines.log_softmax_grad = log_softmax_grad<T>;
  routines.sparse_cross_entropy_i32 = sparse_cross_entropy<T, std::int32_t>;
  routines.sparse_cross_entropy_i64 = sparse_cross_entropy<T, std::int64_t>;
  routines.sparse_cross_entropy_u8 = sparse_cross_entropy<T, std::uint8_t>;
  routines.cross_entropy = cross_entropy<T>;
}

}  // namespace

void add_softmax(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
