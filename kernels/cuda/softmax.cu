#include "cohort/kernels/cuda/softmax.h"

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

// A warp takes one row: rows of a classifier are short, and a warp needs no shared memory. With
// m = max x:  softmax = e^(x - m) / s,  log softmax = x - m - log s,  s = sum e^(x - m).
namespace cohort::cuda {
namespace {

constexpr int kRowsPerBlock = kThreads / kWarp;

template <class C>
__device__ C warp_sum(C value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  return value;
}

template <class C>
__device__ C warp_max(C value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const C other = __shfl_xor_sync(0xffffffffu, value, distance);
    value = other > value ? other : value;
  }
  return value;
}

// One row as its warp sees it: lane l has the elements l, l + 32, …
template <class T>
struct Row {
  using C = Compute<T>;
  const T* x;
  int64_t classes;
  int lane;
  C largest;
  C log_sum;

  __device__ C shifted(int64_t k) const { return static_cast<C>(x[k]) - largest; }
  __device__ C log_probability(int64_t k) const { return shifted(k) - log_sum; }
};

__device__ int64_t row_index() {
  return static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / kWarp;
}

template <class T>
__device__ Row<T> read_row(const T* x, int64_t row, int64_t classes) {
  using C = Compute<T>;
  Row<T> r = {x + row * classes, classes, static_cast<int>(threadIdx.x % kWarp), C(0), C(0)};
  C largest = -static_cast<C>(INFINITY);
  for (int64_t k = r.lane; k < classes; k += kWarp) {
    const C value = static_cast<C>(r.x[k]);
    largest = value > largest ? value : largest;
  }
  r.largest = warp_max(largest);
  C sum = C(0);
  for (int64_t k = r.lane; k < classes; k += kWarp) sum += exp(r.shifted(k));
  r.log_sum = log(warp_sum(sum));
  return r;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    softmax_kernel(bool logarithm, int64_t rows, int64_t classes, const T* x, T* y) {
  const int64_t row = row_index();
  if (row >= rows) return;
  const Row<T> r = read_row(x, row, classes);
  for (int64_t k = r.lane; k < classes; k += kWarp) {
    const Compute<T> p = r.log_probability(k);
    y[row * classes + k] = static_cast<T>(logarithm ? p : exp(p));
  }
}

__device__ int64_t load_label(DType type, const void* labels, int64_t row) {
  if (type == DType::kI32) return static_cast<const int32_t*>(labels)[row];
  if (type == DType::kI64) return static_cast<const int64_t*>(labels)[row];
  return static_cast<const uint8_t*>(labels)[row];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sparse_kernel(DType label_type, int64_t rows, int64_t classes, const T* x, const void* labels,
                  T* loss, T* backprop, Fault* fault, int site) {
  const int64_t row = row_index();
  if (row >= rows) return;
  const int64_t label = load_label(label_type, labels, row);
  const bool valid = label >= 0 && label < classes;
  const Row<T> r = read_row(x, row, classes);
  for (int64_t k = r.lane; k < classes; k += kWarp)
    backprop[row * classes + k] =
        static_cast<T>(exp(r.log_probability(k)) - static_cast<Compute<T>>(k == label ? 1 : 0));
  if (r.lane != 0) return;
  if (!valid) report(fault, site, label, row, classes - 1);
  loss[row] = static_cast<T>(valid ? -r.log_probability(label) : Compute<T>(0));
}

// loss = -sum z log p;  backprop = p sum z - z.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dense_kernel(int64_t rows, int64_t classes, const T* x, const T* labels, T* loss, T* backprop) {
  using C = Compute<T>;
  const int64_t row = row_index();
  if (row >= rows) return;
  const Row<T> r = read_row(x, row, classes);
  const T* z = labels + row * classes;
  C total = C(0);
  C mass = C(0);
  for (int64_t k = r.lane; k < classes; k += kWarp) {
    const C weight = static_cast<C>(z[k]);
    mass += weight;
    if (weight != C(0)) total -= weight * r.log_probability(k);  // 0 log 0 is 0
  }
  total = warp_sum(total);
  mass = warp_sum(mass);
  for (int64_t k = r.lane; k < classes; k += kWarp)
    backprop[row * classes + k] =
        static_cast<T>(exp(r.log_probability(k)) * mass - static_cast<C>(z[k]));
  if (r.lane == 0) loss[row] = static_cast<T>(total);
}

}  // namespace

bool softmax(DType dtype, bool logarithm, int64_t rows, int64_t classes, const void* x, void* y,
             cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("softmax", softmax_kernel<T>, ceil_div(rows, kRowsPerBlock), kThreads, stream, logarithm,
           rows, classes, static_cast<const T*>(x), static_cast<T*>(y));
  });
}

bool sparse_cross_entropy(DType dtype, DType label_type, int64_t rows, int64_t classes,
                          const void* logits, const void* labels, void* loss, void* backprop,
                          Fault* fault, int site, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("sparse_softmax_cross_entropy", sparse_kernel<T>, ceil_div(rows, kRowsPerBlock),
           kThreads, stream, label_type, rows, classes, static_cast<const T*>(logits), labels,
           static_cast<T*>(loss), static_cast<T*>(backprop), fault, site);
  });
}

bool dense_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                         const void* labels, void* loss, void* backprop, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("softmax_cross_entropy", dense_kernel<T>, ceil_div(rows, kRowsPerBlock), kThreads,
           stream, rows, classes, static_cast<const T*>(logits), static_cast<const T*>(labels),
           static_cast<T*>(loss), static_cast<T*>(backprop));
  });
}

}  // namespace cohort::cuda
