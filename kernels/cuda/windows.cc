#include "cohort/kernels/cuda/windows.h"

namespace cohort::cuda {
namespace {

using Ints = std::vector<int64_t>;

int size_at(const Shape& shape, int axis) { return static_cast<int>(shape.size(axis)); }

Window plain_window(const Attrs& attrs, const Shape& image, const Shape& output) {
  const Ints& strides = attrs.get<Ints>("strides");
  const Ints& pads = attrs.get<Ints>("pads");
  Window w = {};
  w.batch = size_at(image, 0);
  w.height = size_at(image, 1);
  w.width = size_at(image, 2);
  w.channels = size_at(image, 3);
  w.out_height = size_at(output, 1);
  w.out_width = size_at(output, 2);
  w.out_channels = size_at(output, 3);
  w.stride_height = static_cast<int>(strides[0]);
  w.stride_width = static_cast<int>(strides[1]);
  w.pad_top = static_cast<int>(pads[0]);
  w.pad_bottom = static_cast<int>(pads[1]);
  w.pad_left = static_cast<int>(pads[2]);
  w.pad_right = static_cast<int>(pads[3]);
  w.dilation_height = w.dilation_width = 1;
  w.groups = 1;
  return w;
}

}  // namespace

Window conv_window(const Attrs& attrs, const Shape& image, const Shape& kernel,
                   const Shape& output) {
  Window w = plain_window(attrs, image, output);
  const Ints& dilation = attrs.get<Ints>("dilation");
  w.window_height = size_at(kernel, 0);
  w.window_width = size_at(kernel, 1);
  w.dilation_height = static_cast<int>(dilation[0]);
  w.dilation_width = static_cast<int>(dilation[1]);
  w.groups = static_cast<int>(attrs.get<int64_t>("groups"));
  return w;
}

Window pool_window(const Attrs& attrs, const Shape& image, const Shape& output) {
  Window w = plain_window(attrs, image, output);
  const Ints& size = attrs.get<Ints>("pool_size");
  w.window_height = static_cast<int>(size[0]);
  w.window_width = static_cast<int>(size[1]);
  return w;
}

}  // namespace cohort::cuda
