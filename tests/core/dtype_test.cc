#include "cohort/core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/expect_error.h"

namespace cohort {
namespace {

TEST(DTypeTest, NamesAreNumPysAndParseBack) {
  EXPECT_EQ(dtype_name(DType::kBF16), "bfloat16");
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
    visit_dtype(dtype, [&](auto tag) {
      EXPECT_EQ(sizeof(tag), size_of(dtype));
      EXPECT_EQ(dtype_of<decltype(tag)>(), dtype);
    });
  }
  testing::expect_invalid({"got \"f32\"; want one of float32"}, [] { parse_dtype("f32"); });
}

TEST(DTypeTest, BoolIsNeitherFloatNorInteger) {
  EXPECT_FALSE(is_integer(DType::kBool) || is_floating(DType::kBool));
  EXPECT_TRUE(is_integer(DType::kU8) && is_floating(DType::kF64));
}

TEST(HalfTest, EveryHalfComesBackFromFloat) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    Half half;
    half.bits = static_cast<uint16_t>(bits);
    const float value = half;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(Half(value))));
    } else {
      ASSERT_EQ(Half(value).bits, half.bits) << value;
    }
  }
}

TEST(HalfTest, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(Half(1.0f + 0x1p-11f)), 1.0f);                // tie, to even
  EXPECT_EQ(static_cast<float>(Half(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);  // tie, to even
  EXPECT_EQ(static_cast<float>(Half(1.0f + 0x1.1p-11f)), 1.0f + 0x1p-10f);
  EXPECT_EQ(static_cast<float>(Half(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(static_cast<float>(Half(65520.0f))));
  EXPECT_EQ(static_cast<float>(Half(0x1p-25f)), 0.0f);
  EXPECT_EQ(static_cast<float>(Half(0x1.8p-25f)), 0x1p-24f);
  EXPECT_TRUE(std::signbit(static_cast<float>(Half(-0.0f))));
}

TEST(BFloat16Test, IsTheUpperHalfRoundedToNearestEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    BFloat16 value;
    value.bits = static_cast<uint16_t>(bits);
    const float f = value;
    if (std::isnan(f)) continue;
    ASSERT_EQ(BFloat16(f).bits, value.bits);
  }
  EXPECT_EQ(static_cast<float>(BFloat16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(static_cast<float>(BFloat16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
  EXPECT_TRUE(std::isinf(static_cast<float>(BFloat16(std::numeric_limits<float>::max()))));
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nanf("")))));
}

}  // namespace
}  // namespace cohort
