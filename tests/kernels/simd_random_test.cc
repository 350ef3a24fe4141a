#include <cmath>

#include "cohort/core/runtime/philox.h"
#include "tests/kernels/simd_support.h"

namespace cohort::cpu {
namespace {

constexpr std::uint64_t kKey = 0x0123456789abcdefu;
constexpr std::uint64_t kStarts[] = {0, 1, 2, 3, 4, 7, 1023, 0x3fffffffcu, 0xfffffffffffff001u};

class SimdRandomTest : public SimdTest {};
INSTANTIATE_TEST_SUITE_P(Isas, SimdRandomTest, ::testing::ValuesIn(available_isas()), isa_suffix);

TEST_P(SimdRandomTest, WordsAreThoseOfPhilox) {
  for (std::uint64_t first : kStarts)
    for (std::uint32_t plane : {0u, 1u, 0xffffffffu})
      for (std::ptrdiff_t n : kOddSizes) {
        Unaligned<std::uint32_t> words(n);
        simd_.random.words({kKey, first}, plane, words.data(), n);
        for (std::ptrdiff_t i = 0; i < n; ++i)
          ASSERT_EQ(words[i], philox_word(kKey, first + i, plane)) << first << " + " << i;
        ASSERT_TRUE(words.guard_is_whole());
      }
}

TEST_P(SimdRandomTest, UniformAndNormalFollowTheirDefinitions) {
  for (std::uint64_t first : kStarts)
    for (std::ptrdiff_t n : kOddSizes) {
      Unaligned<float> u32(n), n32(n);
      Unaligned<double> u64(n), n64(n);
      simd_.f32.uniform({kKey, first}, -2, 3, u32.data(), n);
      simd_.f64.uniform({kKey, first}, -2, 3, u64.data(), n);
      simd_.f32.normal({kKey, first}, 1, 2, n32.data(), n);
      simd_.f64.normal({kKey, first}, 1, 2, n64.data(), n);
      for (std::ptrdiff_t i = 0; i < n; ++i) {
        const std::uint32_t upper = philox_word(kKey, first + i),
                            lower = philox_word(kKey, first + i, 1);
        ASSERT_NEAR(u32[i], -2 + 5 * philox_uniform_float(upper), 5e-7);
        ASSERT_NEAR(u64[i], -2 + 5 * philox_uniform_double(upper, lower), 1e-15);
        ASSERT_NEAR(n64[i], 1 + 2 * philox_normal(upper, lower), 1e-13);
        ASSERT_NEAR(n32[i], 1 + 2 * philox_normal(upper, lower), 1e-6);
      }
      ASSERT_TRUE(u32.guard_is_whole() && u64.guard_is_whole() && n32.guard_is_whole());
    }
}

template <class T>
void expect_dropout(const Simd& simd, std::uint64_t first, std::ptrdiff_t n, double rate) {
  const Unaligned<T> x = random_values<T>(n, 3);
  Unaligned<T> y(n);
  const std::uint32_t threshold = philox_drop_threshold(rate);
  simd.of<T>().dropout({kKey, first}, threshold, T(1.25), x.data(), y.data(), n);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const bool kept = philox_word(kKey, first + i) >> 8 >= threshold;
    ASSERT_EQ(y[i], kept ? x[i] * T(1.25) : T(0)) << first << " + " << i << " rate " << rate;
  }
  ASSERT_TRUE(y.guard_is_whole());
}

TEST_P(SimdRandomTest, DropoutKeepsWhatTheDefinitionKeeps) {
  for (double rate : {0.0, 0.2, 0.5, 1.0})
    for (std::uint64_t first : kStarts)
      for (std::ptrdiff_t n : kOddSizes) {
        expect_dropout<float>(simd_, first, n, rate);
        expect_dropout<double>(simd_, first, n, rate);
      }
}

TEST_P(SimdRandomTest, DropoutKeepsTheExpectedShare) {
  std::vector<float> x(100000, 1.0f), y(x.size());
  simd_.f32.dropout({kKey, 0}, philox_drop_threshold(0.2), 1.25f, x.data(), y.data(), 100000);
  double sum = 0;
  for (float v : y) sum += v;
  EXPECT_NEAR(sum / 100000, 1.0, 0.01);
}

}  // namespace
}  // namespace cohort::cpu
