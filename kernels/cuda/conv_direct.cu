#include "cohort/kernels/cuda/conv_direct.h"

#include "cohort/kernels/cuda/image.cuh"
#include "cohort/kernels/cuda/reduction.cuh"
#include "cohort/kernels/cuda/types.cuh"

// y[n, i, j, f] = sum over (p, q, c) of x[n, i s + p d - top, j s + q d - left, c] k[p, q, c, f],
// where f's group takes its own channels c.
namespace cohort::cuda {
namespace {

__device__ int64_t kernel_index(const Window& w, int kh, int kw, int c, int f) {
  const int channels = w.channels / w.groups;
  return ((static_cast<int64_t>(kh) * w.window_width + kw) * channels + c) * w.out_channels + f;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    forward_kernel(Window w, const T* x, const T* kernel, T* y) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.output_elements()) return;
  const Pixel p = pixel_at(i, w.out_height, w.out_width, w.out_channels);
  const int channels = w.channels / w.groups;
  const int first = p.channel / (w.out_channels / w.groups) * channels;
  C sum = C(0);
  for (int kh = 0; kh < w.window_height; ++kh)
    for (int kw = 0; kw < w.window_width; ++kw) {
      const int row = w.row(p.row, kh);
      const int column = w.column(p.column, kw);
      if (!in_image(w, row, column)) continue;
      const T* pixels = x + image_index(w, p.image, row, column, first);
      for (int c = 0; c < channels; ++c)
        sum += static_cast<C>(pixels[c]) *
               static_cast<C>(kernel[kernel_index(w, kh, kw, c, p.channel)]);
    }
  y[i] = static_cast<T>(sum);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    input_kernel(Window w, const T* dy, const T* kernel, T* dx) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= w.image_elements()) return;
  const Pixel p = pixel_at(i, w.height, w.width, w.channels);
  const int channels = w.channels / w.groups;
  const int outputs = w.out_channels / w.groups;
  const int first = p.channel / channels * outputs;
  C sum = C(0);
  for_each_cover(w, p.row, p.column, [&](int oh, int ow, int kh, int kw) {
    const T* gradients = dy + output_index(w, p.image, oh, ow, first);
    const T* weights = kernel + kernel_index(w, kh, kw, p.channel % channels, first);
    for (int f = 0; f < outputs; ++f)
      sum += static_cast<C>(gradients[f]) * static_cast<C>(weights[f]);
  });
  dx[i] = static_cast<T>(sum);
}

template <class C>
struct Add {
  __device__ C merge(C a, C b) const { return a + b; }
};

template <class T>
__global__ void __launch_bounds__(kThreads)
    weight_kernel(Window w, const T* x, const T* dy, T* dkernel) {
  using C = Compute<T>;
  __shared__ C shared[kThreads];
  const int channels = w.channels / w.groups;
  int64_t rest = blockIdx.x;
  const int f = static_cast<int>(rest % w.out_channels);
  rest /= w.out_channels;
  const int c = static_cast<int>(rest % channels) + f / (w.out_channels / w.groups) * channels;
  rest /= channels;
  const int kw = static_cast<int>(rest % w.window_width);
  const int kh = static_cast<int>(rest / w.window_width);
  const int64_t places = static_cast<int64_t>(w.batch) * w.out_height * w.out_width;
  C sum = C(0);
  for (int64_t i = threadIdx.x; i < places; i += kThreads) {
    const Pixel p = pixel_at(i, w.out_height, w.out_width, 1);
    const int row = w.row(p.row, kh);
    const int column = w.column(p.column, kw);
    if (in_image(w, row, column))
      sum += static_cast<C>(x[image_index(w, p.image, row, column, c)]) *
             static_cast<C>(dy[i * w.out_channels + f]);
  }
  sum = reduce_block(Add<C>{}, sum, shared);
  if (threadIdx.x == 0) dkernel[blockIdx.x] = static_cast<T>(sum);
}

}  // namespace

bool conv_direct(DType dtype, const Window& w, const void* x, const void* kernel, void* y,
                 cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("conv2d", forward_kernel<T>, w.output_elements(), stream, w,
                    static_cast<const T*>(x), static_cast<const T*>(kernel), static_cast<T*>(y));
  });
}

bool conv_direct_input(DType dtype, const Window& w, const void* dy, const void* kernel, void* dx,
                       cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("conv2d_backward_input", input_kernel<T>, w.image_elements(), stream, w,
                    static_cast<const T*>(dy), static_cast<const T*>(kernel), static_cast<T*>(dx));
  });
}

bool conv_direct_kernel(DType dtype, const Window& w, const void* x, const void* dy, void* dkernel,
                        cudaStream_t stream) {
  const int64_t weights = static_cast<int64_t>(w.window_height) * w.window_width *
                          (w.channels / w.groups) * w.out_channels;
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("conv2d_backward_kernel", weight_kernel<T>, weights, kThreads, stream, w,
           static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dkernel));
  });
}

}  // namespace cohort::cuda
