// Direct convolution by the tiles of the matrix product, without an im2col copy.
//
// In an image with its padding written out, the operands of one output pixel and one kernel row kh
// are *adjacent*: the kernel_width * channels numbers from (kw, c) = (0, 0) on. So a tile of output
// pixels (rows) by filters (columns) is a product with one segment of K per kernel row; for the
// kernel's gradient the (kw, c) are the rows of the tile, and K runs over output pixels, one
// segment per output row. Where columns are dilated or channels grouped, only the channels of one
// kernel cell are adjacent, and each cell is a product of its own, added in order.
#include "cohort/kernels/cpu/simd/conv.h"

#include "cohort/kernels/cpu/simd/pack.h"
#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/tile.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

/// The numbers all loops share.
struct Geometry {
  explicit Geometry(const ConvShape& s)
      : padded_height((s.out_height - 1) * s.stride_height +
                      (s.kernel_height - 1) * s.dilation_height + 1),
        padded_width((s.out_width - 1) * s.stride_width + (s.kernel_width - 1) * s.dilation_width +
                     1),
        group_channels(s.channels / s.groups),
        group_filters(s.filters / s.groups),
        cells(s.dilation_width > 1 || s.groups > 1 ? s.kernel_width : 1),
        cell_size(s.kernel_width / cells * group_channels) {}

  Index padded_height, padded_width;
  Index group_channels, group_filters;
  Index cells;      // products per kernel row
  Index cell_size;  // adjacent numbers of each
};

Index round_up(Index count) { return ceil_div(count, 16) * 16; }

bool is_padded_already(const ConvShape& s, const Geometry& g) {
  return s.pad_top == 0 && s.pad_left == 0 && g.padded_height <= s.height &&
         g.padded_width == s.width;
}

/// The rows and columns of x that outputs read, with the padding; rows and columns `step` apart in
/// `to` (1: dense).
template <class T>
void write_padded(const T* x, Index height, Index width, Index channels, Index top, Index left,
                  Index step_height, Index step_width, T* to, Index to_height, Index to_width) {
  __builtin_memset(to, 0, static_cast<std::size_t>(to_height * to_width * channels) * sizeof(T));
  for (Index h = 0; h < height; ++h) {
    const Index row = top + h * step_height;
    if (row < 0 || row >= to_height) continue;
    for (Index w = 0; w < width; ++w) {
      const Index column = left + w * step_width;
      if (column < 0 || column >= to_width) continue;
      const Index run = step_width == 1 ? smaller(width - w, to_width - column) : 1;
      __builtin_memcpy(to + (row * to_width + column) * channels, x + (h * width + w) * channels,
                       static_cast<std::size_t>(run * channels) * sizeof(T));
      w += run - 1;
    }
  }
}

/// The kernel by groups and panels of filters: [groups][panel][kernel
/// rows][cells][cell_size][kPanel<T>].
template <class T>
void pack_kernel(const ConvShape& s, const Geometry& g, const T* kernel, T* to) {
  const Index depth = s.kernel_height * s.kernel_width * g.group_channels;
  for (Index group = 0; group < s.groups; ++group)
    for (Index f = 0; f < g.group_filters; f += kPanel<T>) {
      const Index columns = smaller(kPanel<T>, g.group_filters - f);
      pack_rows(kernel + group * g.group_filters + f, s.filters, columns, depth, to, kPanel<T>);
      to += depth * kPanel<T>;
    }
}

template <class T>
struct Output {
  const T* bias;
  bool relu;
  T* y;
};

/// One image: xp is padded, the kernel packed.
template <class T>
void conv_image(const ConvShape& s, const Geometry& g, const T* xp, Index xp_width, const T* packed,
                const Output<T>& out) {
  const Index depth = s.kernel_height * s.kernel_width * g.group_channels;
  Tile<T> t = {};
  t.a_row = s.stride_width * s.channels;
  t.a_three_rows = 3 * t.a_row;
  t.a_segment = s.dilation_height * xp_width * s.channels;
  t.b_row = kPanel<T>;
  t.b_segment = s.kernel_width * g.group_channels * kPanel<T>;
  t.ldc = s.filters;
  t.k = g.cell_size;
  t.segments = s.kernel_height;
  for (Index oh = 0; oh < s.out_height; ++oh)
    for_row_blocks(s.out_width, [&](Index ow, Index pixels) {
      const T* corner = xp + (oh * s.stride_height * xp_width + ow * s.stride_width) * s.channels;
      const T* b = packed;
      for (Index group = 0; group < s.groups; ++group)
        for (Index f = 0; f < g.group_filters; f += kPanel<T>, b += depth * kPanel<T>) {
          const Index columns = smaller(kPanel<T>, g.group_filters - f);
          const Index filter = group * g.group_filters + f;
          t.last_lanes = first_lanes<T>(columns % kLanes<T>);
          t.c = out.y + (oh * s.out_width + ow) * s.filters + filter;
          for (Index cell = 0; cell < g.cells; ++cell) {
            const bool last = cell + 1 == g.cells;
            t.a = corner + cell * s.dilation_width * s.channels + group * g.group_channels;
            t.b = b + cell * g.cell_size * kPanel<T>;
            t.add_c = cell > 0;
            t.bias = last && out.bias ? out.bias + filter : nullptr;
            t.relu = last && out.relu;
            tile_function<T>(pixels, columns, false)(t);
          }
        }
    });
}

template <class T>
struct Scratch {
  T* image;
  T* kernel;
  T* turned;
};

template <class T>
Index packed_size(const ConvShape& s, Index channels, Index filters) {
  return s.groups * s.kernel_height * s.kernel_width * channels * ceil_div(filters, kPanel<T>) *
         kPanel<T>;
}

/// The convolution of dy, spread out by the strides, that gives dx.
ConvShape shape_of_grad_input(const ConvShape& s) {
  ConvShape r = s;
  r.channels = s.filters;
  r.filters = s.channels;
  r.out_height = s.height;
  r.out_width = s.width;
  r.stride_height = r.stride_width = 1;
  r.pad_top = (s.kernel_height - 1) * s.dilation_height - s.pad_top;
  r.pad_left = (s.kernel_width - 1) * s.dilation_width - s.pad_left;
  return r;
}

struct ScratchSizes {
  Index image, kernel, turned;
};

template <class T>
ScratchSizes scratch_sizes(const ConvShape& s) {
  const Geometry g(s);
  const ConvShape r = shape_of_grad_input(s);
  const Geometry gr(r);
  const auto larger = [](Index a, Index b) { return a > b ? a : b; };
  return {round_up(larger(g.padded_height * g.padded_width * s.channels,
                          gr.padded_height * gr.padded_width * r.channels)),
          round_up(larger(packed_size<T>(s, g.group_channels, g.group_filters),
                          packed_size<T>(r, gr.group_channels, gr.group_filters))),
          round_up(s.kernel_height * s.kernel_width * g.group_channels * s.filters)};
}

template <class T>
Scratch<T> divide_scratch(const ConvShape& s, std::byte* scratch) {
  const ScratchSizes sizes = scratch_sizes<T>(s);
  T* image = reinterpret_cast<T*>(scratch);
  return {image, image + sizes.image, image + sizes.image + sizes.kernel};
}

template <class T>
std::size_t conv_scratch_bytes(const ConvShape& s) {
  if (s.out_height <= 0 || s.out_width <= 0) return 0;
  const ScratchSizes sizes = scratch_sizes<T>(s);
  return static_cast<std::size_t>(sizes.image + sizes.kernel + sizes.turned) * sizeof(T);
}

bool is_empty(const ConvShape& s) {
  return s.batch <= 0 || s.out_height <= 0 || s.out_width <= 0 || s.filters <= 0;
}

template <class T>
void conv(const ConvShape& s, const T* x, const T* kernel, const T* bias, bool relu, T* y,
          std::byte* scratch) {
  if (is_empty(s)) return;
  const Geometry g(s);
  const Scratch<T> buffers = divide_scratch<T>(s, scratch);
  const bool in_place = is_padded_already(s, g);
  pack_kernel(s, g, kernel, buffers.kernel);
  for (Index n = 0; n < s.batch; ++n) {
    const T* image = x + n * s.height * s.width * s.channels;
    if (!in_place)
      write_padded(image, s.height, s.width, s.channels, s.pad_top, s.pad_left, 1, 1, buffers.image,
                   g.padded_height, g.padded_width);
    conv_image(s, g, in_place ? image : buffers.image, g.padded_width, buffers.kernel,
               {bias, relu, y + n * s.out_height * s.out_width * s.filters});
  }
}

/// to[kh, kw, f, c] = kernel[KH - 1 - kh, KW - 1 - kw, c, f], per group.
template <class T>
void turn_kernel(const ConvShape& s, const Geometry& g, const T* kernel, T* to) {
  const Index cells = s.kernel_height * s.kernel_width;
  for (Index cell = 0; cell < cells; ++cell)
    for (Index group = 0; group < s.groups; ++group)
      for (Index f = 0; f < g.group_filters; ++f)
        for (Index c = 0; c < g.group_channels; ++c)
          to[(cell * g.group_filters + f) * s.channels + group * g.group_channels + c] =
              kernel[((cells - 1 - cell) * g.group_channels + c) * s.filters +
                     group * g.group_filters + f];
}

template <class T>
void conv_grad_input(const ConvShape& s, const T* dy, const T* kernel, T* dx, std::byte* scratch) {
  const Index dx_size = s.height * s.width * s.channels;
  if (is_empty(s)) {
    if (s.batch > 0)
      __builtin_memset(dx, 0, static_cast<std::size_t>(s.batch * dx_size) * sizeof(T));
    return;
  }
  const ConvShape r = shape_of_grad_input(s);
  const Geometry g(r);
  const Scratch<T> buffers = divide_scratch<T>(s, scratch);
  turn_kernel(s, Geometry(s), kernel, buffers.turned);
  pack_kernel(r, g, buffers.turned, buffers.kernel);
  for (Index n = 0; n < s.batch; ++n) {
    write_padded(dy + n * s.out_height * s.out_width * s.filters, s.out_height, s.out_width,
                 s.filters, r.pad_top, r.pad_left, s.stride_height, s.stride_width, buffers.image,
                 g.padded_height, g.padded_width);
    conv_image<T>(r, g, buffers.image, g.padded_width, buffers.kernel,
                  {nullptr, false, dx + n * dx_size});
  }
}

/// What the tiles of dkernel for output rows [oh, oh + rows) of one image have in common. K runs
/// over the pixels.
template <class T>
Tile<T> grad_kernel_tile(const ConvShape& s, Index xp_width, Index rows, bool add) {
  Tile<T> t = {};
  t.a_row = 1;
  t.a_three_rows = s.dilation_height * xp_width;
  t.a_col = s.stride_width * s.channels;
  t.a_segment = s.stride_height * xp_width * s.channels;
  t.b_row = s.filters;
  t.b_segment = s.out_width * s.filters;
  t.ldc = s.filters;
  t.k = s.out_width;
  t.segments = rows;
  t.add_c = add;
  return t;
}

/// For all filters of a group: dy and dkernel begin at the group's first.
template <class T>
void grad_kernel_panels(Tile<T> t, Index height, bool adjacent, const T* dy, Index filters,
                        T* dkernel) {
  for (Index f = 0; f < filters; f += kPanel<T>) {
    const Index columns = smaller(kPanel<T>, filters - f);
    t.last_lanes = first_lanes<T>(columns % kLanes<T>);
    t.b = dy + f;
    t.c = dkernel + f;
    tile_function<T>(height, columns, adjacent)(t);
  }
}

/// One channel and kernel rows of three: then neighbouring pixels are neighbours in memory, and a
/// tile takes several kernel rows at once, three rows each.
bool has_three_row_tiles(const ConvShape& s) {
  return s.channels == 1 && s.kernel_width == 3 && s.stride_width == 1 && s.dilation_width == 1;
}

/// dkernel (+)= over output rows [oh, oh + rows) of one image.
template <class T>
void conv_grad_kernel_rows(const ConvShape& s, const Geometry& g, const T* xp, Index xp_width,
                           const T* dy, Index oh, Index rows, bool add, T* dkernel) {
  Tile<T> t = grad_kernel_tile<T>(s, xp_width, rows, add);
  xp += oh * s.stride_height * xp_width * s.channels;
  dy += oh * s.out_width * s.filters;
  if (has_three_row_tiles(s)) {
    constexpr Index at_once = kTileRows / 3;
    for (Index kh = 0; kh < s.kernel_height; kh += at_once) {
      const Index kernel_rows = smaller(at_once, s.kernel_height - kh);
      t.a = xp + kh * s.dilation_height * xp_width;
      grad_kernel_panels(t, 3 * kernel_rows, false, dy, s.filters, dkernel + kh * 3 * s.filters);
    }
    return;
  }
  for (Index kh = 0; kh < s.kernel_height; ++kh)
    for (Index cell = 0; cell < g.cells; ++cell)
      for (Index group = 0; group < s.groups; ++group)
        for_row_blocks(g.cell_size, [&](Index m, Index height) {
          t.a = xp + (kh * s.dilation_height * xp_width + cell * s.dilation_width) * s.channels +
                group * g.group_channels + m;
          T* to = dkernel + ((kh * g.cells + cell) * g.cell_size + m) * s.filters;
          const Index first_filter = group * g.group_filters;
          grad_kernel_panels(t, height, true, dy + first_filter, g.group_filters,
                             to + first_filter);
        });
}

template <class T>
void conv_grad_kernel(const ConvShape& s, const T* x, const T* dy, T* dkernel, bool accumulate,
                      std::byte* scratch) {
  const Geometry g(s);
  if (is_empty(s)) {
    const Index size = s.kernel_height * s.kernel_width * g.group_channels * s.filters;
    if (!accumulate) __builtin_memset(dkernel, 0, static_cast<std::size_t>(size) * sizeof(T));
    return;
  }
  const Scratch<T> buffers = divide_scratch<T>(s, scratch);
  const bool in_place = is_padded_already(s, g);
  // As many rows of dy at once as stay in the second-level cache with those of x: each batch of
  // rows reads and writes all of dkernel.
  constexpr Index cached = 65536 / sizeof(T);
  Index rows_at_once = cached / (s.out_width * s.filters);
  if (rows_at_once < 1) rows_at_once = 1;
  bool add = accumulate;
  for (Index n = 0; n < s.batch; ++n) {
    const T* image = x + n * s.height * s.width * s.channels;
    if (!in_place)
      write_padded(image, s.height, s.width, s.channels, s.pad_top, s.pad_left, 1, 1, buffers.image,
                   g.padded_height, g.padded_width);
    for (Index oh = 0; oh < s.out_height; oh += rows_at_once) {
      const Index rows = smaller(rows_at_once, s.out_height - oh);
      conv_grad_kernel_rows(s, g, in_place ? image : buffers.image, g.padded_width,
                            dy + n * s.out_height * s.out_width * s.filters, oh, rows, add,
                            dkernel);
      add = true;
    }
  }
}

template <class T>
void add(ConvRoutines<T>& routines) {
  routines.conv = conv<T>;
  routines.conv_grad_input = conv_grad_input<T>;
  routines.conv_grad_kernel = conv_grad_kernel<T>;
  routines.conv_scratch_bytes = conv_scratch_bytes<T>;
}

}  // namespace

void add_conv(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
