#include "cohort/kernels/cpu/window_plan.h"

#include <vector>

namespace cohort::cpu {

using Ints = std::vector<int64_t>;

WindowPlan::WindowPlan(const Attrs& attrs, const Shape& image, const Shape& output,
                       int64_t window_height, int64_t window_width)
    : batch(image.size(0)),
      height(image.size(1)),
      width(image.size(2)),
      channels(image.size(3)),
      out_height(output.size(1)),
      out_width(output.size(2)),
      out_channels(output.size(3)),
      window_height(window_height),
      window_width(window_width) {
  const Ints& strides = attrs.get<Ints>("strides");
  stride_height = strides[0];
  stride_width = strides[1];
  const Ints& pads = attrs.get<Ints>("pads");
  pad_top = pads[0];
  pad_bottom = pads[1];
  pad_left = pads[2];
  pad_right = pads[3];
  if (attrs.has("dilation")) {
    dilation_height = attrs.get<Ints>("dilation")[0];
    dilation_width = attrs.get<Ints>("dilation")[1];
  }
  groups = attrs.get_or<int64_t>("groups", 1);
}

WindowPlan conv_plan(const Attrs& attrs, const Shape& image, const Shape& kernel,
                     const Shape& output) {
  return WindowPlan(attrs, image, output, kernel.size(0), kernel.size(1));
}

WindowPlan pool_plan(const Attrs& attrs, const Shape& image, const Shape& output) {
  const Ints& window = attrs.get<Ints>("pool_size");
  return WindowPlan(attrs, image, output, window[0], window[1]);
}

}  // namespace cohort::cpu
