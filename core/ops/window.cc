#include "cohort/core/ops/window.h"

#include <algorithm>

namespace cohort::ops {

// TensorFlow's rule: SAME gives ceil(size / stride) places; what must be added for that is split
// in halves, the odd one below and right.
std::vector<int64_t> resolve_padding(Padding padding, const Shape& x, const Window& window,
                                     std::string_view where) {
  want_image(x, where);
  std::vector<int64_t> pads(4, 0);
  if (padding == Padding::kValid) return pads;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t size = x.size(static_cast<int>(i) + 1), stride = window.strides[i];
    const int64_t places = (size + stride - 1) / stride;
    const int64_t total = std::max<int64_t>(0, (places - 1) * stride + window.size[i] - size);
    pads[2 * i] = total / 2;
    pads[2 * i + 1] = total - total / 2;
  }
  return pads;
}

Shape windowed_shape(const Shape& x, const Window& window, const std::vector<int64_t>& pads,
                     const Dim& channels, std::string_view where) {
  constexpr int64_t kLargest = int64_t{1} << 31;  // keeps the arithmetic below from overflowing
  const auto sane = [](int64_t number) { return number >= 0 && number < kLargest; };
  const bool valid = pads.size() == 4 && std::all_of(pads.begin(), pads.end(), sane) &&
                     sane(x.size(1)) && sane(x.size(2)) && sane(window.size[0]) &&
                     sane(window.size[1]) && window.strides[0] > 0 && window.strides[1] > 0;
  if (!valid)
    throw InvalidArgument(
        "{}: got a window of {} x {} at strides {} x {} for x {}; want numbers "
        "below 2^31, strides from 1",
        where, window.size[0], window.size[1], window.strides[0], window.strides[1], x);
  Shape y{x[0]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t padded = x.size(static_cast<int>(i) + 1) + pads[2 * i] + pads[2 * i + 1];
    if (window.size[i] > padded)
      throw InvalidArgument("{}: got a window of {} x {} for x {}; want it within the image", where,
                            window.size[0], window.size[1], x);
    y.push_back((padded - window.size[i]) / window.strides[i] + 1);
  }
  y.push_back(channels);
  return y;
}

void want_image(const Shape& x, std::string_view where) {
  if (x.rank() != 4 || !x.slice(1).is_concrete())
    throw InvalidArgument("{}: got x {}; want [N, H, W, C] with numbers for H, W and C", where, x);
}

void want_positive(const std::array<int64_t, 2>& pair, std::string_view name,
                   std::string_view where) {
  if (pair[0] < 1 || pair[1] < 1)
    throw InvalidArgument("{}: got {} {} x {}; want at least 1", where, name, pair[0], pair[1]);
}

std::array<int64_t, 2> pair_attr(const Attrs& attrs, std::string_view name) {
  const auto& numbers = attrs.get<std::vector<int64_t>>(name);
  COHORT_CHECK(numbers.size() == 2);
  return {numbers[0], numbers[1]};
}

}  // namespace cohort::ops
