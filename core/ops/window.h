#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "cohort/core/graph/op.h"
#include "cohort/core/ops/conv.h"

/// Windows that slide over images [N, H, W, C]; shared by convolution and pooling.
namespace cohort::ops {

struct Window {
  std::array<int64_t, 2> size;  ///< of the cells that it spans, dilation included
  std::array<int64_t, 2> strides;
};

/// [top, bottom, left, right]. H and W of x must be numbers. Throws InvalidArgument.
std::vector<int64_t> resolve_padding(Padding padding, const Shape& x, const Window& window,
                                     std::string_view where);
/// [N, H', W', channels]; throws InvalidArgument when the window does not fit the padded image.
Shape windowed_shape(const Shape& x, const Window& window, const std::vector<int64_t>& pads,
                     const Dim& channels, std::string_view where);
/// x must be [N, H, W, C] with numbers for H, W and C.
void want_image(const Shape& x, std::string_view where);
/// Both numbers at least 1.
void want_positive(const std::array<int64_t, 2>& pair, std::string_view name,
                   std::string_view where);
std::array<int64_t, 2> pair_attr(const Attrs& attrs, std::string_view name);

}  // namespace cohort::ops
