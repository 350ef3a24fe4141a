#include <cmath>
#include <cstring>
#include <limits>

#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

class SimdMoveTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdMoveTest, ::testing::ValuesIn(available_isas()), isa_suffix);

TEST_P(SimdMoveTest, GathersRowsOfBytesAndFloats) {
  const std::vector<std::int64_t> indices = {4, 0, 4, 2};
  for (std::ptrdiff_t columns : kOddSizes) {
    Unaligned<std::uint8_t> bytes(5 * columns);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 37);
    const Unaligned<float> floats = random_values<float>(5 * columns, 1);
    Unaligned<float> y(4 * columns), scaled(4 * columns);
    Unaligned<double> wide(4 * columns);
    simd_.f32.gather_rows(floats.data(), columns, indices.data(), 4, y.data());
    simd_.f32.gather_rows_u8(bytes.data(), columns, indices.data(), 4, 0.5f, -1, scaled.data());
    simd_.f64.gather_rows_u8(bytes.data(), columns, indices.data(), 4, 0.5, -1, wide.data());
    for (std::ptrdiff_t r = 0; r < 4; ++r)
      for (std::ptrdiff_t c = 0; c < columns; ++c) {
        const std::ptrdiff_t from = indices[r] * columns + c;
        ASSERT_EQ(y[r * columns + c], floats[from]);
        ASSERT_EQ(scaled[r * columns + c], bytes[from] * 0.5f - 1);
        ASSERT_EQ(wide[r * columns + c], bytes[from] * 0.5 - 1);
      }
    ASSERT_TRUE(y.guard_is_whole() && scaled.guard_is_whole() && wide.guard_is_whole());
  }
}

template <class T>
void expect_transpose(const Simd& simd, std::ptrdiff_t rows, std::ptrdiff_t columns) {
  const std::ptrdiff_t ldx = columns + 1, ldy = rows + 2;
  const Unaligned<T> x = random_values<T>(rows * ldx, 1);
  Unaligned<T> y(columns * ldy, T(9));
  simd.of<T>().transpose(x.data(), ldx, y.data(), ldy, rows, columns);
  for (std::ptrdiff_t c = 0; c < columns; ++c)
    for (std::ptrdiff_t r = 0; r < ldy; ++r)
      ASSERT_EQ(y[c * ldy + r], r < rows ? x[r * ldx + c] : T(9)) << rows << "x" << columns;
  ASSERT_TRUE(y.guard_is_whole());
}

TEST_P(SimdMoveTest, TransposesAnyShape) {
  for (std::ptrdiff_t rows : {0, 1, 3, 8, 15, 16, 17, 33})
    for (std::ptrdiff_t columns : {0, 1, 2, 7, 16, 20, 64, 65}) {
      expect_transpose<float>(simd_, rows, columns);
      expect_transpose<double>(simd_, rows, columns);
    }
}

TEST_P(SimdMoveTest, AddsScalesAndCopies) {
  for (std::ptrdiff_t n : kOddSizes) {
    const Unaligned<float> x = random_values<float>(n, 1), y0 = random_values<float>(n, 2);
    Unaligned<float> sum = y0, fused = y0, scaled(n), copied(n);
    simd_.f32.add(x.data(), sum.data(), n);
    simd_.f32.axpy(0.5f, x.data(), fused.data(), n);
    simd_.f32.scale(3, x.data(), scaled.data(), n);
    simd_.f32.stream_copy(x.data(), copied.data(), n);
    for (std::ptrdiff_t i = 0; i < n; ++i) {
      ASSERT_EQ(sum[i], y0[i] + x[i]);
      ASSERT_EQ(fused[i], y0[i] + 0.5f * x[i]);
      ASSERT_EQ(scaled[i], x[i] * 3);
      ASSERT_EQ(copied[i], x[i]);
    }
    ASSERT_TRUE(sum.guard_is_whole() && scaled.guard_is_whole() && copied.guard_is_whole());
  }
}

float tree(const std::vector<Unaligned<float>>& x, std::size_t first, std::size_t n,
           std::size_t i) {
  if (n == 1) return x[first][i];
  std::size_t left = 1;
  while (2 * left < n) left *= 2;
  return tree(x, first, left, i) + tree(x, first + left, n - left, i);
}

TEST_P(SimdMoveTest, SumsSourcesInTheFixedTree) {
  for (int sources = 1; sources <= 13; ++sources)
    for (std::ptrdiff_t n : {0, 1, 16, 37}) {
      std::vector<Unaligned<float>> x;
      std::vector<const float*> from;
      for (int s = 0; s < sources; ++s) x.push_back(random_values<float>(n, 100 + s));
      for (auto& v : x) from.push_back(v.data());
      Unaligned<float> a(n), b(n);
      float* const to[] = {a.data(), b.data()};
      simd_.f32.sum_sources({.sources = from.data(),
                             .num_sources = sources,
                             .destinations = to,
                             .num_destinations = 2,
                             .count = n,
                             .scale = 0.5f});
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        ASSERT_EQ(a[i], tree(x, 0, sources, i) * 0.5f) << sources << " sources";
        ASSERT_EQ(a[i], b[i]);
      }
      ASSERT_TRUE(a.guard_is_whole() && b.guard_is_whole());
    }
}

float from_bits(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

TEST_P(SimdMoveTest, HalfPrecisionIsRoundedToNearestEven) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<float, std::uint16_t>> cases = {{0.0f, 0x0000},
                                                              {-0.0f, 0x8000},
                                                              {1.0f, 0x3c00},
                                                              {-2.0f, 0xc000},
                                                              {65504.0f, 0x7bff},
                                                              {65519.0f, 0x7bff},
                                                              {65520.0f, 0x7c00},
                                                              {1e6f, 0x7c00},
                                                              {inf, 0x7c00},
                                                              {-inf, 0xfc00},
                                                              {1.0f + 0x1p-11f, 0x3c00},
                                                              {1.0f + 0x1p-11f + 0x1p-20f, 0x3c01},
                                                              {1.0f + 3 * 0x1p-11f, 0x3c02},
                                                              {0x1p-14f, 0x0400},
                                                              {0x1p-24f, 0x0001},
                                                              {0x1p-25f, 0x0000},
                                                              {0x1.8p-24f, 0x0002},
                                                              {0x1.000002p-25f, 0x0001},
                                                              {2047 * 0x1p-25f, 0x0400}};
  for (const auto& [x, want] : cases) {
    std::uint16_t half = 0;
    simd_.convert.f32_to_f16(&x, &half, 1);
    EXPECT_EQ(half, want) << x;
  }
}

TEST_P(SimdMoveTest, EveryHalfSurvivesTheRoundTrip) {
  std::vector<std::uint16_t> all(65536), back(65536);
  std::vector<float> wide(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  simd_.convert.f16_to_f32(all.data(), wide.data(), 65535);
  simd_.convert.f32_to_f16(wide.data(), back.data(), 65535);
  for (std::size_t i = 0; i < 65535; ++i) {
    const int exponent = (all[i] >> 10) & 31, fraction = all[i] & 1023;
    if (exponent == 31 && fraction) {
      ASSERT_TRUE(std::isnan(wide[i]));
      ASSERT_EQ(back[i] & 0x7e00, 0x7e00);
      continue;
    }
    const double magnitude = exponent == 31 ? std::numeric_limits<double>::infinity()
                             : exponent     ? std::ldexp(1024 + fraction, exponent - 25)
                                            : std::ldexp(fraction, -24);
    ASSERT_EQ(wide[i], all[i] & 0x8000 ? -magnitude : magnitude);
    ASSERT_EQ(back[i], all[i]);
  }
}

TEST_P(SimdMoveTest, BfloatIsRoundedToNearestEven) {
  const std::vector<std::pair<std::uint32_t, std::uint16_t>> cases = {
      {0x3f800000u, 0x3f80}, {0x3f808000u, 0x3f80}, {0x3f808001u, 0x3f81},
      {0x3f818000u, 0x3f82}, {0x7f800000u, 0x7f80}, {0x7f7fffffu, 0x7f80},
      {0x80000000u, 0x8000}, {0x7f800001u, 0x7fc0}, {0xffffffffu, 0xffff}};
  for (const auto& [bits, want] : cases) {
    const float x = from_bits(bits);
    std::uint16_t narrow = 0;
    simd_.convert.f32_to_bf16(&x, &narrow, 1);
    EXPECT_EQ(narrow, want) << std::hex << bits;
  }
  std::vector<std::uint16_t> all(kOddSizes.back()), back(all.size());
  std::vector<float> wide(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(0x3f80 + i);
  for (std::ptrdiff_t n : kOddSizes) {
    simd_.convert.bf16_to_f32(all.data(), wide.data(), n);
    simd_.convert.f32_to_bf16(wide.data(), back.data(), n);
    for (std::ptrdiff_t i = 0; i < n; ++i) ASSERT_EQ(back[i], all[i]);
  }
}

}  // namespace
}  // namespace cohort::cpu
