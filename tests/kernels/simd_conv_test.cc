#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdConvTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdConvTest, ::testing::ValuesIn(available_isas()), isa_suffix);

struct alignas(64) ScratchLine {
  std::byte bytes[64];
};

template <class T>
std::vector<ScratchLine> scratch_for(const Simd& simd, const ConvShape& s) {
  return std::vector<ScratchLine>(simd.of<T>().conv_scratch_bytes(s) / sizeof(ScratchLine) + 1);
}

ConvShape square(std::ptrdiff_t batch, std::ptrdiff_t size, std::ptrdiff_t channels,
                 std::ptrdiff_t filters, std::ptrdiff_t kernel, std::ptrdiff_t pad) {
  const std::ptrdiff_t out = size + 2 * pad - kernel + 1;
  return {.batch = batch,
          .height = size,
          .width = size,
          .channels = channels,
          .filters = filters,
          .out_height = out,
          .out_width = out,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .pad_top = pad,
          .pad_left = pad};
}

std::vector<ConvShape> shapes() {
  std::vector<ConvShape> all = {
      square(2, 6, 1, 32, 3, 1),  square(2, 6, 1, 32, 3, 0), square(1, 5, 3, 5, 3, 1),
      square(2, 17, 4, 17, 3, 1), square(1, 7, 2, 40, 1, 0), square(1, 6, 16, 64, 3, 1),
      square(0, 6, 2, 3, 3, 1),   square(1, 1, 1, 1, 1, 0),  square(1, 4, 2, 70, 4, 0),
  };
  // SAME with stride 2: 7 x 8 -> 4 x 4, the extra padding below and right.
  all.push_back({.batch = 2,
                 .height = 7,
                 .width = 8,
                 .channels = 3,
                 .filters = 6,
                 .out_height = 4,
                 .out_width = 4,
                 .kernel_height = 3,
                 .kernel_width = 3,
                 .stride_height = 2,
                 .stride_width = 2,
                 .pad_top = 1,
                 .pad_left = 0});
  // Rows and columns that no output reads.
  all.push_back({.batch = 1,
                 .height = 9,
                 .width = 10,
                 .channels = 2,
                 .filters = 4,
                 .out_height = 3,
                 .out_width = 3,
                 .kernel_height = 2,
                 .kernel_width = 2,
                 .stride_height = 3,
                 .stride_width = 3});
  // Dilation, groups, a kernel that is no square, padding beyond the kernel's.
  all.push_back({.batch = 2,
                 .height = 8,
                 .width = 9,
                 .channels = 3,
                 .filters = 5,
                 .out_height = 4,
                 .out_width = 7,
                 .kernel_height = 3,
                 .kernel_width = 2,
                 .dilation_height = 2,
                 .dilation_width = 2});
  all.push_back({.batch = 2,
                 .height = 5,
                 .width = 6,
                 .channels = 6,
                 .filters = 9,
                 .out_height = 5,
                 .out_width = 6,
                 .kernel_height = 3,
                 .kernel_width = 3,
                 .pad_top = 1,
                 .pad_left = 1,
                 .groups = 3});
  all.push_back({.batch = 1,
                 .height = 4,
                 .width = 4,
                 .channels = 2,
                 .filters = 3,
                 .out_height = 8,
                 .out_width = 8,
                 .kernel_height = 3,
                 .kernel_width = 3,
                 .pad_top = 3,
                 .pad_left = 3});
  return all;
}

/// visit(x element, kernel element, y element) for every product of the convolution.
template <class Visit>
void for_each_product(const ConvShape& s, Visit visit) {
  const std::ptrdiff_t gc = s.channels / s.groups, gf = s.filters / s.groups;
  for (std::ptrdiff_t n = 0; n < s.batch; ++n)
    for (std::ptrdiff_t oh = 0; oh < s.out_height; ++oh)
      for (std::ptrdiff_t ow = 0; ow < s.out_width; ++ow)
        for (std::ptrdiff_t kh = 0; kh < s.kernel_height; ++kh)
          for (std::ptrdiff_t kw = 0; kw < s.kernel_width; ++kw) {
            const std::ptrdiff_t h = oh * s.stride_height - s.pad_top + kh * s.dilation_height;
            const std::ptrdiff_t w = ow * s.stride_width - s.pad_left + kw * s.dilation_width;
            if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
            for (std::ptrdiff_t f = 0; f < s.filters; ++f)
              for (std::ptrdiff_t c = 0; c < gc; ++c)
                visit(((n * s.height + h) * s.width + w) * s.channels + f / gf * gc + c,
                      ((kh * s.kernel_width + kw) * gc + c) * s.filters + f,
                      ((n * s.out_height + oh) * s.out_width + ow) * s.filters + f);
          }
}

struct Sizes {
  explicit Sizes(const ConvShape& s)
      : x(s.batch * s.height * s.width * s.channels),
        kernel(s.kernel_height * s.kernel_width * s.channels / s.groups * s.filters),
        y(s.batch * s.out_height * s.out_width * s.filters) {}
  std::size_t x, kernel, y;
};

template <class T>
void expect_near(const Unaligned<T>& got, const std::vector<double>& want, const char* what) {
  const double tolerance = 300 * std::numeric_limits<T>::epsilon();
  for (std::size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * (1 + std::abs(want[i]))) << what << " at " << i;
  ASSERT_TRUE(got.guard_is_whole()) << what;
}

template <class T>
void expect_conv(const Simd& simd, const ConvShape& s) {
  const Sizes size(s);
  const Unaligned<T> x = random_values<T>(size.x, 1), kernel = random_values<T>(size.kernel, 2);
  const Unaligned<T> bias = random_values<T>(s.filters, 3), dy = random_values<T>(size.y, 4);
  Unaligned<T> y(size.y, T(7)), dx(size.x, T(7)), dkernel(size.kernel, T(0.5)), plain(size.y, T(7));
  std::vector<ScratchLine> scratch = scratch_for<T>(simd, s);
  std::byte* buffer = scratch.data()->bytes;
  simd.of<T>().conv(s, x.data(), kernel.data(), nullptr, false, plain.data(), buffer);
  simd.of<T>().conv(s, x.data(), kernel.data(), bias.data(), true, y.data(), buffer);
  simd.of<T>().conv_grad_input(s, dy.data(), kernel.data(), dx.data(), buffer);
  simd.of<T>().conv_grad_kernel(s, x.data(), dy.data(), dkernel.data(), true, buffer);

  std::vector<double> want(size.y), want_dx(size.x), want_dkernel(size.kernel, 0.5);
  for_each_product(s, [&](std::ptrdiff_t i, std::ptrdiff_t k, std::ptrdiff_t o) {
    want[o] += double{x[i]} * kernel[k];
    want_dx[i] += double{dy[o]} * kernel[k];
    want_dkernel[k] += double{dy[o]} * x[i];
  });
  expect_near(plain, want, "y");
  for (std::size_t i = 0; i < want.size(); ++i)
    want[i] = std::max(0.0, want[i] + bias[i % s.filters]);
  expect_near(y, want, "relu(y + bias)");
  expect_near(dx, want_dx, "dx");
  expect_near(dkernel, want_dkernel, "dkernel");
}

TEST_P(SimdConvTest, ForwardAndGradientsAgreeWithTheDefinition) {
  for (const ConvShape& s : shapes()) {
    SCOPED_TRACE(::testing::Message() << s.height << "x" << s.width << "x" << s.channels << " -> "
                                      << s.filters << " kernel " << s.kernel_height);
    expect_conv<float>(simd_, s);
    expect_conv<double>(simd_, s);
  }
}

TEST_P(SimdConvTest, AnImageHasTheSameBitsInAnyBatch) {
  ConvShape s = square(5, 9, 3, 20, 3, 1);
  const Sizes size(s);
  const Unaligned<float> x = random_values<float>(size.x, 1),
                         kernel = random_values<float>(size.kernel, 2);
  const Unaligned<float> dy = random_values<float>(size.y, 3);
  Unaligned<float> y(size.y), dx(size.x), y_alone(size.y), dx_alone(size.x);
  std::vector<ScratchLine> scratch = scratch_for<float>(simd_, s);
  std::byte* buffer = scratch.data()->bytes;
  simd_.f32.conv(s, x.data(), kernel.data(), nullptr, false, y.data(), buffer);
  simd_.f32.conv_grad_input(s, dy.data(), kernel.data(), dx.data(), buffer);
  s.batch = 1;
  for (std::size_t n = 0; n < 5; ++n) {
    const std::size_t in = n * size.x / 5, out = n * size.y / 5;
    simd_.f32.conv(s, x.data() + in, kernel.data(), nullptr, false, y_alone.data() + out, buffer);
    simd_.f32.conv_grad_input(s, dy.data() + out, kernel.data(), dx_alone.data() + in, buffer);
  }
  EXPECT_EQ(y.copy(), y_alone.copy());
  EXPECT_EQ(dx.copy(), dx_alone.copy());
}

TEST_P(SimdConvTest, WithoutImagesTheKernelsGradientIsZero) {
  const ConvShape s = square(0, 6, 2, 3, 3, 1);
  Unaligned<float> dkernel(Sizes(s).kernel, 4.0f);
  std::vector<ScratchLine> scratch = scratch_for<float>(simd_, s);
  simd_.f32.conv_grad_kernel(s, nullptr, nullptr, dkernel.data(), false, scratch.data()->bytes);
  for (std::size_t i = 0; i < dkernel.size(); ++i) ASSERT_EQ(dkernel[i], 0.0f);
}

}  // namespace
}  // namespace cohort::cpu
