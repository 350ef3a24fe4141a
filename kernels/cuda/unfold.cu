#include "cohort/kernels/cuda/unfold.h"

#include "cohort/kernels/cuda/image.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

constexpr int kWide = 4;  // elements that a thread moves where the channels allow
using Floats = Vector<float, kWide>;
using OneFloat = Vector<float, 1>;

// The quotient, and in `value` the remainder.
__device__ int divide(unsigned& value, int by) {
  const unsigned quotient = value / static_cast<unsigned>(by);
  value -= quotient * static_cast<unsigned>(by);
  return static_cast<int>(quotient);
}

// T is what one thread moves; the window's channels count those.
template <class T>
__global__ void __launch_bounds__(kThreads)
    unfold_kernel(Window w, unsigned elements, const T* image, T* matrix) {
  const auto i = static_cast<unsigned>(element_index());
  if (i >= elements) return;
  unsigned rest = i;
  const int columns = w.window_height * w.window_width * w.channels;
  int place = divide(rest, columns);
  const int kh = divide(rest, w.window_width * w.channels);
  const int kw = divide(rest, w.channels);
  const int channel = static_cast<int>(rest);
  rest = static_cast<unsigned>(place);
  const int image_number = divide(rest, w.out_height * w.out_width);
  const int row = w.row(divide(rest, w.out_width), kh);
  const int column = w.column(static_cast<int>(rest), kw);
  matrix[i] =
      in_image(w, row, column) ? image[image_index(w, image_number, row, column, channel)] : T{};
}

template <int kCount>
__device__ void add(Vector<float, kCount>& sum, const Vector<float, kCount>& value) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) sum.at[k] += value.at[k];
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    fold_kernel(Window w, unsigned elements, const T* matrix, T* image) {
  const auto i = static_cast<unsigned>(element_index());
  if (i >= elements) return;
  unsigned rest = i;
  const int line = divide(rest, w.width * w.channels);
  const int column = divide(rest, w.channels);
  const int channel = static_cast<int>(rest);
  rest = static_cast<unsigned>(line);
  const int image_number = divide(rest, w.height);
  const int row = static_cast<int>(rest);
  const int places = w.window_height * w.window_width;
  T sum = {};
  for_each_cover(w, row, column, [&](int oh, int ow, int kh, int kw) {
    const int64_t place =
        (static_cast<int64_t>(image_number) * w.out_height + oh) * w.out_width + ow;
    add(sum, matrix[(place * places + kh * w.window_width + kw) * w.channels + channel]);
  });
  image[i] = sum;
}

unsigned matrix_elements(const Window& w) {
  return static_cast<unsigned>(w.batch * w.out_height * w.out_width * w.window_height *
                               w.window_width * w.channels);
}

template <class T>
void launch_unfold(const Window& w, const void* image, void* matrix, cudaStream_t stream) {
  const unsigned elements = matrix_elements(w);
  launch_elements("unfold", unfold_kernel<T>, elements, stream, w, elements,
                  static_cast<const T*>(image), static_cast<T*>(matrix));
}

template <class T>
void launch_fold(const Window& w, const void* matrix, void* image, cudaStream_t stream) {
  const auto elements = static_cast<unsigned>(w.image_elements());
  launch_elements("fold", fold_kernel<T>, elements, stream, w, elements,
                  static_cast<const T*>(matrix), static_cast<T*>(image));
}

}  // namespace

void unfold(const Window& w, const void* image, void* matrix, cudaStream_t stream) {
  if (w.channels % kWide == 0)
    launch_unfold<Floats>(widened(w, kWide), image, matrix, stream);
  else
    launch_unfold<OneFloat>(w, image, matrix, stream);
}

void fold(const Window& w, const float* matrix, float* image, cudaStream_t stream) {
  if (w.channels % kWide == 0)
    launch_fold<Floats>(widened(w, kWide), matrix, image, stream);
  else
    launch_fold<OneFloat>(w, matrix, image, stream);
}

}  // namespace cohort::cuda
