#include "cohort/kernels/cpu/simd/move.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/transpose_block.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

template <class T>
void gather_rows(const T* table, Index columns, const std::int64_t* indices, Index rows, T* y) {
  for (Index r = 0; r < rows; ++r, y += columns)
    __builtin_memcpy(y, table + indices[r] * columns,
                     static_cast<std::size_t>(columns) * sizeof(T));
}

void gather_rows_u8_f32(const std::uint8_t* table, Index columns, const std::int64_t* indices,
                        Index rows, float scale, float offset, float* y) {
  for (Index r = 0; r < rows; ++r, y += columns) {
    const std::uint8_t* x = table + indices[r] * columns;
    // Rows lie scattered: the hardware does not foresee the next.
    if (r + 1 < rows) {
      const std::uint8_t* next = table + indices[r + 1] * columns;
      for (Index c = 0; c < columns; c += 64) __builtin_prefetch(next + c);
    }
    Index c = 0;
    for (; c + kLanes<float> <= columns; c += kLanes<float>)
      store(y + c, fma(load_u8(x + c), broadcast(scale), broadcast(offset)));
    if (c == columns) continue;
    std::uint8_t rest[kLanes<float>] = {};
    __builtin_memcpy(rest, x + c, static_cast<std::size_t>(columns - c));
    store(y + c, fma(load_u8(rest), broadcast(scale), broadcast(offset)),
          first_lanes<float>(columns - c));
  }
}

void gather_rows_u8_f64(const std::uint8_t* table, Index columns, const std::int64_t* indices,
                        Index rows, double scale, double offset, double* y) {
  for (Index r = 0; r < rows; ++r, y += columns) {
    const std::uint8_t* x = table + indices[r] * columns;
    for (Index c = 0; c < columns; ++c) y[c] = x[c] * scale + offset;
  }
}

template <class T>
void transpose(const T* x, Index ldx, T* y, Index ldy, Index rows, Index columns) {
  constexpr Index lanes = kLanes<T>;
  const auto block = [&](Index r0, Index c0, Index block_rows, Index block_columns, auto in,
                         auto out) {
    Vec<T> v[lanes];
#pragma GCC unroll 16
    for (Index i = 0; i < lanes; ++i)
      v[i] = i < block_rows ? load(x + (r0 + i) * ldx + c0, in) : Vec<T>{};
    transpose_block<T>(v);
#pragma GCC unroll 16
    for (Index i = 0; i < lanes; ++i)
      if (i < block_columns) store(y + (c0 + i) * ldy + r0, v[i], out);
  };
  for_vectors<T>(rows, [&](Index r0, auto out) {
    for_vectors<T>(columns, [&](Index c0, auto in) {
      block(r0, c0, count_of<T>(out), count_of<T>(in), in, out);
    });
  });
}

template <class T>
void add_to(const T* x, T* y, Index count) {
  for_vectors<T>(count, [&](Index i, auto lanes) {
    store(y + i, load(y + i, lanes) + load(x + i, lanes), lanes);
  });
}

template <class T>
void axpy(T a, const T* x, T* y, Index count) {
  for_vectors<T>(count, [&](Index i, auto lanes) {
    store(y + i, fma(broadcast(a), load(x + i, lanes), load(y + i, lanes)), lanes);
  });
}

template <class T>
void scale(T a, const T* x, T* y, Index count) {
  for_vectors<T>(count, [&](Index i, auto lanes) { store(y + i, load(x + i, lanes) * a, lanes); });
}

/// The tree of sources [first, first + n).
template <class T, int n, class Lanes>
inline Vec<T> tree_of(const T* const* sources, Index i, Lanes lanes) {
  if constexpr (n == 1) {
    return load(sources[0] + i, lanes);
  } else {
    constexpr int left = n > 4 ? 4 : n > 2 ? 2 : 1;
    return tree_of<T, left>(sources, i, lanes) + tree_of<T, n - left>(sources + left, i, lanes);
  }
}

template <class T, class Lanes>
Vec<T> tree_of_many(const T* const* sources, int n, Index i, Lanes lanes) {
  if (n == 1) return load(sources[0] + i, lanes);
  int left = 1;
  while (2 * left < n) left *= 2;
  return tree_of_many<T>(sources, left, i, lanes) +
         tree_of_many<T>(sources + left, n - left, i, lanes);
}

template <class T, int n>
void sum_sources_of(const SumSourcesArgs<T>& s) {
  for_vectors<T>(s.count, [&](Index i, auto lanes) {
    Vec<T> sum;
    if constexpr (n > 0)
      sum = tree_of<T, n>(s.sources, i, lanes);
    else
      sum = tree_of_many<T>(s.sources, s.num_sources, i, lanes);
    sum = sum * s.scale;
    for (int d = 0; d < s.num_destinations; ++d) store(s.destinations[d] + i, sum, lanes);
  });
}

template <class T>
void sum_sources(const SumSourcesArgs<T>& s) {
  switch (s.num_sources) {
    case 0:
      return;
    case 1:
      return sum_sources_of<T, 1>(s);
    case 2:
      return sum_sources_of<T, 2>(s);
    case 3:
      return sum_sources_of<T, 3>(s);
    case 4:
      return sum_sources_of<T, 4>(s);
    case 8:
      return sum_sources_of<T, 8>(s);
    default:
      return sum_sources_of<T, 0>(s);
  }
}

template <class T>
void stream_copy(const T* x, T* y, Index count) {
  const Index misaligned = static_cast<Index>(reinterpret_cast<std::uintptr_t>(y) % kVectorBytes);
  Index head = misaligned ? (static_cast<Index>(kVectorBytes) - misaligned) / Index{sizeof(T)} : 0;
  if (head > count) head = count;
  __builtin_memcpy(y, x, static_cast<std::size_t>(head) * sizeof(T));
  Index i = head;
  for (; i + kLanes<T> <= count; i += kLanes<T>) stream(y + i, load(x + i));
  __builtin_memcpy(y + i, x + i, static_cast<std::size_t>(count - i) * sizeof(T));
  fence();
}

/// convert(x, y) on whole vectors; the rest goes through a buffer.
template <class From, class To, class Convert>
void convert_all(const From* x, To* y, Index count, Convert convert) {
  constexpr Index lanes = kLanes<float>;
  Index i = 0;
  for (; i + lanes <= count; i += lanes) convert(x + i, y + i);
  if (i == count) return;
  From rest[lanes] = {};
  To result[lanes];
  const std::size_t left = static_cast<std::size_t>(count - i);
  __builtin_memcpy(rest, x + i, left * sizeof(From));
  convert(rest, result);
  __builtin_memcpy(y + i, result, left * sizeof(To));
}

void f32_to_f16(const float* x, std::uint16_t* y, Index count) {
  convert_all(x, y, count, [](const float* from, std::uint16_t* to) { store_f16(to, load(from)); });
}

void f16_to_f32(const std::uint16_t* x, float* y, Index count) {
  convert_all(x, y, count, [](const std::uint16_t* from, float* to) { store(to, load_f16(from)); });
}

/// The upper half, after adding what rounds to nearest even; NaN becomes quiet instead.
void f32_to_bf16(const float* x, std::uint16_t* y, Index count) {
  for (Index i = 0; i < count; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y[i] = static_cast<std::uint16_t>((nan ? bits | 0x400000u : rounded) >> 16);
  }
}

void bf16_to_f32(const std::uint16_t* x, float* y, Index count) {
  for (Index i = 0; i < count; ++i) {
    const std::uint32_t bits = static_cast<std::uint32_t>(x[i]) << 16;
    __builtin_memcpy(y + i, &bits, sizeof bits);
  }
}

template <class T>
void add(MoveRoutines<T>& routines) {
  routines.gather_rows = gather_rows<T>;
  routines.transpose = transpose<T>;
  routines.add = add_to<T>;
  routines.axpy = axpy<T>;
  routines.scale = scale<T>;
  routines.sum_sources = sum_sources<T>;
  routines.stream_copy = stream_copy<T>;
}

}  // namespace

void add_move(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
  table.f32.gather_rows_u8 = gather_rows_u8_f32;
  table.f64.gather_rows_u8 = gather_rows_u8_f64;
  table.convert = {f32_to_f16, f16_to_f32, f32_to_bf16, bf16_to_f32};
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
