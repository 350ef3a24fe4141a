#pragma once

#include <gtest/gtest.h>

#include <cfenv>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "cohort/kernels/cpu/simd_dispatch.h"

namespace cohort::cpu {

inline std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    if (isa_supported(isa)) isas.push_back(isa);
  return isas;
}

/// A suite that runs once per instruction set of this processor.
class SimdTest : public ::testing::TestWithParam<Isa> {
 protected:
  // A device that an earlier test has bound to this thread left denormals flushed.
  SimdTest() { std::fesetenv(FE_DFL_ENV); }

  const Simd simd_ = select_simd(GetParam());
};

inline std::string isa_suffix(const ::testing::TestParamInfo<Isa>& info) {
  return std::string(isa_name(info.param));
}

/// Elements that start one element past an aligned address, with a guard behind them: no routine
/// may rely on alignment or write past the end.
template <class T>
class Unaligned {
 public:
  explicit Unaligned(std::size_t count, T fill = T{})
      : storage_(count + 1 + kGuard, fill), count_(count) {
    for (std::size_t i = 0; i < kGuard; ++i) storage_[count + 1 + i] = static_cast<T>(77 + i);
  }

  T* data() { return storage_.data() + 1; }
  const T* data() const { return storage_.data() + 1; }
  std::size_t size() const { return count_; }
  T& operator[](std::size_t i) { return data()[i]; }
  T operator[](std::size_t i) const { return data()[i]; }
  std::vector<T> copy() const { return {data(), data() + count_}; }

  bool guard_is_whole() const {
    for (std::size_t i = 0; i < kGuard; ++i)
      if (storage_[count_ + 1 + i] != static_cast<T>(77 + i)) return false;
    return true;
  }

 private:
  static constexpr std::size_t kGuard = 40;
  std::vector<T> storage_;
  std::size_t count_;
};

template <class T>
Unaligned<T> random_values(std::size_t count, unsigned seed, double low = -1, double high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  Unaligned<T> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(uniform(engine));
  return values;
}

/// Sizes around the vector widths, the tile sizes and zero.
inline const std::vector<std::ptrdiff_t> kOddSizes = {0,  1,  2,  3,  4,  5,  7,  8,   9,   15,
                                                      16, 17, 31, 33, 63, 64, 65, 100, 257, 1001};

}  // namespace cohort::cpu
