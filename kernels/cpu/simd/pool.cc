#include "cohort/kernels/cpu/simd/pool.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

/// The cells of one window inside the image: rows [top, bottom) and columns [left, right) of the
/// window.
struct Window {
  Index top, bottom, left, right;
  Index row, column;  // of the image, where the window's (0, 0) lies
};

struct Range {
  Index begin, end;
};

Range clip(Index start, Index window, Index size) {
  return {start < 0 ? -start : 0, start + window > size ? size - start : window};
}

/// body(window, offset of the output pixel) for all of one image.
template <class Body>
[[gnu::always_inline]] inline void for_windows(const PoolShape& s, Body body) {
  for (Index oh = 0; oh < s.out_height; ++oh) {
    const Index row = oh * s.stride_height - s.pad_top;
    const Range rows = clip(row, s.window_height, s.height);
    for (Index ow = 0; ow < s.out_width; ++ow) {
      const Index column = ow * s.stride_width - s.pad_left;
      const Range columns = clip(column, s.window_width, s.width);
      body(Window{rows.begin, rows.end, columns.begin, columns.end, row, column},
           (oh * s.out_width + ow) * s.channels);
    }
  }
}

bool is_whole(const Window& w, const PoolShape& s) {
  return w.top == 0 && w.left == 0 && w.bottom == s.window_height && w.right == s.window_width;
}

/// body(position in the window, offset of the cell) for the cells of a window. Where the window is
/// a compiled size and whole, the loops unroll.
template <int window_height, int window_width, class Body>
inline void for_cells(const PoolShape& s, const Window& w, Body body) {
  if constexpr (window_height > 0) {
    const Index corner = (w.row * s.width + w.column) * s.channels;
#pragma GCC unroll 3
    for (int i = 0; i < window_height; ++i)
#pragma GCC unroll 3
      for (int j = 0; j < window_width; ++j)
        body(i * window_width + j, corner + (i * s.width + j) * s.channels);
  } else {
    for (Index i = w.top; i < w.bottom; ++i)
      for (Index j = w.left; j < w.right; ++j)
        body(static_cast<int>(i * s.window_width + j),
             ((w.row + i) * s.width + w.column + j) * s.channels);
  }
}

/// call(std::integral_constant height, width) with the compiled size that fits, else zeros.
template <class Call>
inline void with_window_size(const PoolShape& s, const Window& w, Call call) {
  using std::integral_constant;
  if (s.window_height == 2 && s.window_width == 2 && is_whole(w, s))
    call(integral_constant<int, 2>{}, integral_constant<int, 2>{});
  else
    call(integral_constant<int, 0>{}, integral_constant<int, 0>{});
}

template <class T>
struct Largest {
  Vec<T> value;
  VecInt<T> place;
};

/// Cell by cell, NaN winning.
template <class T, class Lanes>
Largest<T> largest_of_window(const PoolShape& s, const Window& w, const T* x, Lanes lanes) {
  Largest<T> best = {broadcast<T>(-__builtin_inff()), {}};
  bool first = true;
  for_cells<0, 0>(s, w, [&](int position, Index cell) {
    const Vec<T> value = load(x + cell, lanes);
    const VecInt<T> wins = first ? VecInt<T>{} - 1 : (value > best.value) | (value != value);
    best.value = wins ? value : best.value;
    best.place = wins ? VecInt<T>{} + position : best.place;
    first = false;
  });
  return best;
}

/// Of 2 x 2 cells none of which is NaN; false where one is.
template <class T, class Lanes>
inline bool largest_of_square(const PoolShape& s, const Window& w, const T* x, Lanes lanes,
                              Largest<T>& best) {
  x += (w.row * s.width + w.column) * s.channels;
  const Vec<T> v0 = load(x, lanes);
  const Vec<T> v1 = load(x + s.channels, lanes);
  const Vec<T> v2 = load(x + s.width * s.channels, lanes);
  const Vec<T> v3 = load(x + (s.width + 1) * s.channels, lanes);
  if (any_nan(v0, v1) || any_nan(v2, v3)) return false;
  best.value = max(max(v0, v1), max(v2, v3));
  best.place = best.value == v2 ? VecInt<T>{} + 2 : VecInt<T>{} + 3;
  best.place = best.value == v1 ? VecInt<T>{} + 1 : best.place;
  best.place = best.value == v0 ? VecInt<T>{} : best.place;
  return true;
}

template <class T>
void max_pool(const PoolShape& shape, const T* x, T* y, std::uint8_t* where, bool relu) {
  const PoolShape s = shape;  // a local: stores of bytes may alias anything else
  const Index in_size = s.height * s.width * s.channels;
  const Index out_size = s.out_height * s.out_width * s.channels;
  for (Index n = 0; n < s.batch; ++n, x += in_size, y += out_size) {
    for_windows(s, [&](const Window& w, Index out) {
      const bool square = s.window_height == 2 && s.window_width == 2 && is_whole(w, s);
      for_vectors<T>(s.channels, [&](Index c, auto lanes) {
        Largest<T> best;
        if (!square || !largest_of_square(s, w, x + c, lanes, best))
          best = largest_of_window(s, w, x + c, lanes);
        if (relu) {
          // What is not below or at zero lives: NaN too.
          const Vec<T> zero = {};
          best.place = best.value <= zero ? VecInt<T>{} + kNoCell : best.place;
          best.value = max(zero, best.value);
        }
        store(y + out + c, best.value, lanes);
        if (where) store_bytes<T>(where + out + c, best.place, lanes);
      });
    });
    if (where) where += out_size;
  }
}

/// Windows that do not overlap write their cells once; others add to them.
bool windows_overlap(const PoolShape& s) {
  return s.stride_height < s.window_height || s.stride_width < s.window_width;
}

bool windows_cover_all(const PoolShape& s) {
  return s.stride_height == s.window_height && s.stride_width == s.window_width && s.pad_top == 0 &&
         s.pad_left == 0 && s.out_height * s.stride_height >= s.height &&
         s.out_width * s.stride_width >= s.width;
}

template <class T, bool add>
void spread_chosen(const PoolShape& shape, const T* dy, const std::uint8_t* where, T* dx) {
  const PoolShape s = shape;
  for_windows(s, [&](const Window& w, Index out) {
    with_window_size(s, w, [&](auto h, auto v) {
      for_vectors<T>(s.channels, [&](Index c, auto lanes) {
        const Vec<T> gradient = load(dy + out + c, lanes);
        const VecInt<T> place = load_bytes<T>(where + out + c, lanes);
        for_cells<h, v>(s, w, [&](int position, Index cell) {
          Vec<T> value = keep_if<T>(place == VecInt<T>{} + position, gradient);
          if constexpr (add) value = value + load(dx + cell + c, lanes);
          store(dx + cell + c, value, lanes);
        });
      });
    });
  });
}

template <class T>
void max_pool_grad(const PoolShape& s, const T* dy, const std::uint8_t* where, T* dx) {
  const Index in_size = s.height * s.width * s.channels;
  const Index out_size = s.out_height * s.out_width * s.channels;
  const bool overlap = windows_overlap(s);
  for (Index n = 0; n < s.batch; ++n, dx += in_size, dy += out_size, where += out_size) {
    if (overlap || !windows_cover_all(s))
      __builtin_memset(dx, 0, static_cast<std::size_t>(in_size) * sizeof(T));
    overlap ? spread_chosen<T, true>(s, dy, where, dx) : spread_chosen<T, false>(s, dy, where, dx);
  }
}

template <class T>
T one_over_cells(const Window& w) {
  return T{1} / static_cast<T>((w.bottom - w.top) * (w.right - w.left));
}

template <class T>
void average_pool(const PoolShape& shape, const T* x, T* y) {
  const PoolShape s = shape;
  const Index in_size = s.height * s.width * s.channels;
  const Index out_size = s.out_height * s.out_width * s.channels;
  for (Index n = 0; n < s.batch; ++n, x += in_size, y += out_size)
    for_windows(s, [&](const Window& w, Index out) {
      with_window_size(s, w, [&](auto h, auto v) {
        for_vectors<T>(s.channels, [&](Index c, auto lanes) {
          Vec<T> sum = {};
          for_cells<h, v>(s, w, [&](int, Index cell) { sum = sum + load(x + cell + c, lanes); });
          store(y + out + c, sum * one_over_cells<T>(w), lanes);
        });
      });
    });
}

template <class T>
void average_pool_grad(const PoolShape& shape, const T* dy, T* dx) {
  const PoolShape s = shape;
  const Index in_size = s.height * s.width * s.channels;
  const Index out_size = s.out_height * s.out_width * s.channels;
  const bool add = windows_overlap(s);
  const bool clear = add || !windows_cover_all(s);
  for (Index n = 0; n < s.batch; ++n, dx += in_size, dy += out_size) {
    if (clear) __builtin_memset(dx, 0, static_cast<std::size_t>(in_size) * sizeof(T));
    for_windows(s, [&](const Window& w, Index out) {
      with_window_size(s, w, [&](auto h, auto v) {
        for_vectors<T>(s.channels, [&](Index c, auto lanes) {
          const Vec<T> share = load(dy + out + c, lanes) * one_over_cells<T>(w);
          for_cells<h, v>(s, w, [&](int, Index cell) {
            T* to = dx + cell + c;
            store(to, add ? share + load(to, lanes) : share, lanes);
          });
        });
      });
    });
  }
}

template <class T>
void add(PoolRoutines<T>& routines) {
  routines.max_pool = max_pool<T>;
  routines.max_pool_grad = max_pool_grad<T>;
  routines.average_pool = average_pool<T>;
  routines.average_pool_grad = average_pool_grad<T>;
}

}  // namespace

void add_pool(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
