// Philox4x32-10 on vectors of 64-bit lanes, one block a lane. A 32-bit multiplication reads the low
// half of its lane only, so the high halves may hold rubbish until the words are put together:
//   words 0 and 1 of a block make one 64-bit lane, words 2 and 3 the next, in the order of the
//   elements.
#include "cohort/kernels/cpu/simd/random.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

constexpr Index kBlocksPerVector = kLanes<std::uint64_t>;
constexpr int kVectorsAtOnce = 4;  // hides the latency of the rounds
constexpr Index kBlocksAtOnce = kVectorsAtOnce * kBlocksPerVector;
constexpr Index kWordsAtOnce = 4 * kBlocksAtOnce;

template <std::size_t... i>
inline void store_interleaved(std::uint32_t* words, VecU64 even, VecU64 odd,
                              std::index_sequence<i...>) {
  constexpr std::int64_t n = kBlocksPerVector;
  const VecI64 first = {static_cast<std::int64_t>(i / 2 + (i % 2) * n)...};
  store(reinterpret_cast<std::uint64_t*>(words), (VecU64)__builtin_shuffle(even, odd, first));
  store(reinterpret_cast<std::uint64_t*>(words) + n,
        (VecU64)__builtin_shuffle(even, odd, first + n / 2));
}

/// The words of kBlocksAtOnce blocks from `block` on.
void generate(std::uint64_t key, std::uint32_t plane, std::uint64_t block, std::uint32_t* words) {
  constexpr auto lanes = std::make_index_sequence<kBlocksPerVector>{};
  VecU64 c0[kVectorsAtOnce], c1[kVectorsAtOnce], c2[kVectorsAtOnce], c3[kVectorsAtOnce];
#pragma GCC unroll 4
  for (int v = 0; v < kVectorsAtOnce; ++v) {
    c0[v] = (VecU64)lane_numbers<std::uint64_t>() +
            (block + static_cast<std::uint64_t>(v * kBlocksPerVector));
    c1[v] = c0[v] >> 32;
    c2[v] = VecU64{} + plane;
    c3[v] = VecU64{};
  }
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
  const VecU64 m0 = VecU64{} + std::uint64_t{0xd2511f53u};
  const VecU64 m1 = VecU64{} + std::uint64_t{0xcd9e8d57u};
  for (int round = 0; round < 10; ++round) {
    const VecU64 key0 = VecU64{} + std::uint64_t{k0};
    const VecU64 key1 = VecU64{} + std::uint64_t{k1};
#pragma GCC unroll 4
    for (int v = 0; v < kVectorsAtOnce; ++v) {
      const VecU64 p0 = multiply_even(c0[v], m0);
      const VecU64 p1 = multiply_even(c2[v], m1);
      c0[v] = (p1 >> 32) ^ c1[v] ^ key0;
      c1[v] = p1;
      c2[v] = (p0 >> 32) ^ c3[v] ^ key1;
      c3[v] = p0;
    }
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
#pragma GCC unroll 4
  for (int v = 0; v < kVectorsAtOnce; ++v) {
    const VecU64 words01 = (c0[v] & 0xffffffffu) | (c1[v] << 32);
    const VecU64 words23 = (c2[v] & 0xffffffffu) | (c3[v] << 32);
    store_interleaved(words + v * 4 * kBlocksPerVector, words01, words23, lanes);
  }
}

/// body(i, n, w): words w[0 .. n) are those of elements i .. i + n of the slice; a vector more may
/// be read.
template <class Body>
void for_words(PhiloxSlice stream, std::uint32_t plane, Index count, Body body) {
  std::uint32_t buffer[kWordsAtOnce + kLanes<std::uint32_t>] = {};
  Index skip = static_cast<Index>(stream.first % 4);
  std::uint64_t block = stream.first / 4;
  for (Index i = 0; i < count; block += kBlocksAtOnce) {
    generate(stream.key, plane, block, buffer);
    const Index left = count - i;
    const Index n = left < kWordsAtOnce - skip ? left : kWordsAtOnce - skip;
    body(i, n, buffer + skip);
    i += n;
    skip = 0;
  }
}

void words(PhiloxSlice stream, std::uint32_t plane, std::uint32_t* out, Index count) {
  for_words(stream, plane, count, [&](Index i, Index n, const std::uint32_t* w) {
    __builtin_memcpy(out + i, w, static_cast<std::size_t>(n) * sizeof *w);
  });
}

/// Both words of each element: body(i, n, upper, lower).
template <class Body>
void for_word_pairs(PhiloxSlice stream, Index count, Body body) {
  for_words(stream, 0, count, [&](Index i, Index n, const std::uint32_t* upper) {
    PhiloxSlice rest = stream;
    rest.first += static_cast<std::uint64_t>(i);
    std::uint32_t lower[kWordsAtOnce];
    words(rest, 1, lower, n);
    body(i, n, upper, lower);
  });
}

void uniform_f32(PhiloxSlice stream, float low, float high, float* y, Index count) {
  for_words(stream, 0, count, [&](Index i, Index n, const std::uint32_t* w) {
    for (Index j = 0; j < n; ++j)
      y[i + j] = low + (high - low) *
                           (static_cast<float>(static_cast<std::int32_t>(w[j] >> 8)) * 0x1p-24f);
  });
}

void uniform_f64(PhiloxSlice stream, double low, double high, double* y, Index count) {
  for_word_pairs(stream, count,
                 [&](Index i, Index n, const std::uint32_t* upper, const std::uint32_t* lower) {
                   for (Index j = 0; j < n; ++j) {
                     const std::uint64_t bits = (std::uint64_t{upper[j]} << 32 | lower[j]) >> 11;
                     y[i + j] = low + (high - low) * (static_cast<double>(bits) * 0x1p-53);
                   }
                 });
}

template <class T>
void normal(PhiloxSlice stream, double mean, double stddev, T* y, Index count) {
  constexpr double kTwoPi = 6.283185307179586;
  for_word_pairs(
      stream, count, [&](Index i, Index n, const std::uint32_t* upper, const std::uint32_t* lower) {
        for (Index j = 0; j < n; ++j) {
          const double u = (static_cast<double>(upper[j]) + 1) * 0x1p-32;
          const double w = static_cast<double>(lower[j]) * 0x1p-32;
          const double z = __builtin_sqrt(-2 * __builtin_log(u)) * __builtin_cos(kTwoPi * w);
          y[i + j] = static_cast<T>(mean + stddev * z);
        }
      });
}

void dropout_f32(PhiloxSlice stream, std::uint32_t threshold, float scale, const float* x, float* y,
                 Index count) {
  // Signed comparison: both sides have 24 or 25 bits.
  const std::int32_t limit = static_cast<std::int32_t>(threshold);
  for_words(stream, 0, count, [&](Index i, Index n, const std::uint32_t* w) {
    for_vectors<float>(n, [&](Index j, auto lanes) {
      const VecU32 word = load(w + j);
      const VecI32 kept = (VecI32)(word >> 8) >= limit;
      store(y + i + j, keep_if<float>(kept, load(x + i + j, lanes) * scale), lanes);
    });
  });
}

void dropout_f64(PhiloxSlice stream, std::uint32_t threshold, double scale, const double* x,
                 double* y, Index count) {
  for_words(stream, 0, count, [&](Index i, Index n, const std::uint32_t* w) {
    for (Index j = 0; j < n; ++j) y[i + j] = w[j] >> 8 >= threshold ? x[i + j] * scale : 0.0;
  });
}

}  // namespace

void add_random(Simd& table) {
  table.random.words = words;
  table.f32.uniform = uniform_f32;
  table.f64.uniform = uniform_f64;
  table.f32.normal = normal<float>;
  table.f64.normal = normal<double>;
  table.f32.dropout = dropout_f32;
  table.f64.dropout = dropout_f64;
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
