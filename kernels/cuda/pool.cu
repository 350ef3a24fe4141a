#include "cohort/kernels/cuda/pool.h"

#include "cohort/kernels/cuda/image.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

// Maxima take kCount neighbouring channels a thread, which `w` counts as one.

// The first of equal elements wins, and NaN over all numbers.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    max_pool_kernel(Window w, const Vector<T, kCount>* x, Vector<T, kCount>* y,
                    Vector<uint8_t, kCount>* where) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.output_elements()) return;
  const Pixel p = pixel_at(i, w.out_height, w.out_width, w.out_channels);
  Vector<T, kCount> best = {};
  Vector<uint8_t, kCount> positions = {};
  bool found = false;
  for (int kh = 0; kh < w.window_height; ++kh)
    for (int kw = 0; kw < w.window_width; ++kw) {
      const int row = w.row(p.row, kh);
      const int column = w.column(p.column, kw);
      if (!in_image(w, row, column)) continue;
      const Vector<T, kCount> values = x[image_index(w, p.image, row, column, p.channel)];
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const C value = static_cast<C>(values.at[k]);
        const C largest = static_cast<C>(best.at[k]);
        if (!found || value > largest || (value != value && largest == largest)) {
          best.at[k] = values.at[k];
          positions.at[k] = static_cast<uint8_t>(kh * w.window_width + kw);
        }
      }
      found = true;
    }
  y[i] = best;
  where[i] = positions;
}

template <class T, int kCount>
__global__ void __launch_bounds__(kThreads)
    max_pool_grad_kernel(Window w, const Vector<T, kCount>* dy,
                         const Vector<uint8_t, kCount>* where, Vector<T, kCount>* dx) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.image_elements()) return;
  const Pixel p = pixel_at(i, w.height, w.width, w.channels);
  C sums[kCount] = {};
  for_each_cover(w, p.row, p.column, [&](int oh, int ow, int kh, int kw) {
    const int64_t at = output_index(w, p.image, oh, ow, p.channel);
    const Vector<uint8_t, kCount> positions = where[at];
    const Vector<T, kCount> gradients = dy[at];
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      if (positions.at[k] == kh * w.window_width + kw) sums[k] += static_cast<C>(gradients.at[k]);
  });
  Vector<T, kCount> result;
#pragma unroll
  for (int k = 0; k < kCount; ++k) result.at[k] = static_cast<T>(sums[k]);
  dx[i] = result;
}

// visit(Tag<T>, count) for a floating dtype, with the channels that a thread takes.
template <class Visitor>
bool visit_vectors(DType dtype, const Window& w, Visitor&& visit) {
  return visit_floating(dtype, [&](auto tag) {
    if (w.channels % 4 == 0)
      visit(tag, std::integral_constant<int, 4>{});
    else
      visit(tag, std::integral_constant<int, 1>{});
  });
}

// How many of `size` window places from `first` on lie inside 0 … limit - 1.
__device__ int inside(int first, int size, int limit) {
  return min(first + size, limit) - max(first, 0);
}

// Padding is not counted.
template <class C>
__device__ C cells(const Window& w, int oh, int ow) {
  return static_cast<C>(inside(w.row(oh, 0), w.window_height, w.height) *
                        inside(w.column(ow, 0), w.window_width, w.width));
}

template <class T>
__global__ void __launch_bounds__(kThreads) avg_pool_kernel(Window w, const T* x, T* y) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.output_elements()) return;
  const Pixel p = pixel_at(i, w.out_height, w.out_width, w.out_channels);
  C sum = C(0);
  for (int kh = 0; kh < w.window_height; ++kh)
    for (int kw = 0; kw < w.window_width; ++kw) {
      const int row = w.row(p.row, kh);
      const int column = w.column(p.column, kw);
      if (in_image(w, row, column))
        sum += static_cast<C>(x[image_index(w, p.image, row, column, p.channel)]);
    }
  y[i] = static_cast<T>(sum / cells<C>(w, p.row, p.column));
}

template <class T>
__global__ void __launch_bounds__(kThreads) avg_pool_grad_kernel(Window w, const T* dy, T* dx) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.image_elements()) return;
  const Pixel p = pixel_at(i, w.height, w.width, w.channels);
  C sum = C(0);
  for_each_cover(w, p.row, p.column, [&](int oh, int ow, int, int) {
    sum += static_cast<C>(dy[output_index(w, p.image, oh, ow, p.channel)]) / cells<C>(w, oh, ow);
  });
  dx[i] = static_cast<T>(sum);
}

}  // namespace

bool max_pool(DType dtype, const Window& w, const void* x, void* y, uint8_t* where,
              cudaStream_t stream) {
  return visit_vectors(dtype, w, [&](auto tag, auto count) {
    using T = Vector<typename decltype(tag)::type, count()>;
    const Window wide = widened(w, count());
    launch_elements("max_pool2d", max_pool_kernel<typename decltype(tag)::type, count()>,
                    wide.output_elements(), stream, wide, static_cast<const T*>(x),
                    static_cast<T*>(y), reinterpret_cast<Vector<uint8_t, count()>*>(where));
  });
}

bool max_pool_grad(DType dtype, const Window& w, const void* dy, const uint8_t* where, void* dx,
                   cudaStream_t stream) {
  return visit_vectors(dtype, w, [&](auto tag, auto count) {
    using T = Vector<typename decltype(tag)::type, count()>;
    const Window wide = widened(w, count());
    launch_elements("max_pool2d_grad", max_pool_grad_kernel<typename decltype(tag)::type, count()>,
                    wide.image_elements(), stream, wide, static_cast<const T*>(dy),
                    reinterpret_cast<const Vector<uint8_t, count()>*>(where), static_cast<T*>(dx));
  });
}

bool avg_pool(DType dtype, const Window& w, const void* x, void* y, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("avg_pool2d", avg_pool_kernel<T>, w.output_elements(), stream, w,
                    static_cast<const T*>(x), static_cast<T*>(y));
  });
}

bool avg_pool_grad(DType dtype, const Window& w, const void* dy, void* dx, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("avg_pool2d_grad", avg_pool_grad_kernel<T>, w.image_elements(), stream, w,
                    static_cast<const T*>(dy), static_cast<T*>(dx));
  });
}

}  // namespace cohort::cuda
