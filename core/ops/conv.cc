#include "cohort/core/ops/conv.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/window.h"

// y[n, i, j, f] = sum over (p, q, c) of x[n, i s + p d - top, j s + q d - left, c] k[p, q, c, f].
// The map is linear in x and in k, so three ops are closed under differentiation:
//   y  = Conv2D(x, k)         dx = BackwardInput(dy, k)   dk = BackwardKernel(x, dy)
namespace cohort::ops {
namespace {

Window window_of(const Shape& kernel, const Attrs& attrs) {
  const auto dilation = pair_attr(attrs, "dilation");
  Window window{.size = {}, .strides = pair_attr(attrs, "strides")};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t gaps = kernel.size(static_cast<int>(i)) - 1;
    if (dilation[i] < 1 || __builtin_mul_overflow(gaps, dilation[i], &window.size[i]))
      throw InvalidArgument("conv2d: got dilation {} for kernel {}; want at least 1", dilation[i],
                            kernel);
    ++window.size[i];
  }
  return window;
}

void want_kernel(const Shape& x, const Shape& kernel, int64_t groups, std::string_view where) {
  want_image(x, where);
  const bool fits = kernel.rank() == 4 && kernel.is_concrete() && kernel.size(0) > 0 &&
                    kernel.size(1) > 0 && groups > 0 && x.size(3) % groups == 0 &&
                    kernel.size(2) == x.size(3) / groups && kernel.size(3) % groups == 0;
  if (!fits)
    throw InvalidArgument(
        "{}: got x {}, kernel {}, groups {}; want x [N, H, W, C], kernel [KH, KW, C / groups, F] "
        "with groups dividing C and F",
        where, x, kernel, groups);
}

Shape conv_shape(const Shape& x, const Shape& kernel, const Attrs& attrs, std::string_view where) {
  want_kernel(x, kernel, attrs.get<int64_t>("groups"), where);
  return windowed_shape(x, window_of(kernel, attrs), attrs.get<std::vector<int64_t>>("pads"),
                        kernel[3], where);
}

Types infer_conv2d(const InferContext& in) {
  want_floating(in, 0, "conv2d");
  want_same_dtypes(in, "conv2d");
  return {{in.dtype(0), conv_shape(in.shape(0), in.shape(1), in.attrs(), "conv2d")}};
}

Types infer_fused_conv2d(const InferContext& in) {
  const Types y = infer_conv2d(in);
  if (in.shape(2).rank() != 1 || in.shape(2)[0] != y[0].shape[3])
    throw InvalidArgument("fused_conv2d: got bias {}; want [{}]", in.shape(2), y[0].shape[3]);
  return y;
}

void want_dy(const Shape& dy, const Shape& x, const Shape& kernel, const Attrs& attrs,
             std::string_view where) {
  const Shape y = conv_shape(x, kernel, attrs, where);
  if (dy != y)
    throw InvalidArgument("{}: got dy {} for x {}, kernel {}; want {}", where, dy, x, kernel, y);
}

Types infer_backward_input(const InferContext& in) {
  want_same_dtypes(in, "conv2d_backward_input");
  const Shape& x = in.attrs().get<Shape>("shape");
  want_dy(in.shape(0), x, in.shape(1), in.attrs(), "conv2d_backward_input");
  return {{in.dtype(0), x}};
}

Types infer_backward_kernel(const InferContext& in) {
  want_same_dtypes(in, "conv2d_backward_kernel");
  const Shape& kernel = in.attrs().get<Shape>("shape");
  want_dy(in.shape(1), in.shape(0), kernel, in.attrs(), "conv2d_backward_kernel");
  return {{in.dtype(0), kernel}};
}

Attrs conv_attrs(const Attrs& from) {
  Attrs attrs;
  for (const char* name : {"strides", "dilation", "pads", "groups"})
    attrs.set(name, *from.find(name));
  return attrs;
}

Value forward(const Node& like, Value x, Value kernel) {
  return record("Conv2D", {x, kernel}, conv_attrs(like.attrs()));
}

Value backward_input(const Node& like, Value dy, Value kernel, const Shape& x) {
  Attrs attrs = conv_attrs(like.attrs());
  attrs.set("shape", x);
  return record("Conv2DBackwardInput", {dy, kernel}, std::move(attrs));
}

Value backward_kernel(const Node& like, Value x, Value dy, const Shape& kernel) {
  Attrs attrs = conv_attrs(like.attrs());
  attrs.set("shape", kernel);
  return record("Conv2DBackwardKernel", {x, dy}, std::move(attrs));
}

Gradients gradient_conv2d(const Node& node, std::span<const Gradient> gradient) {
  const Value x = node.input(0), kernel = node.input(1), dy = gradient[0].dense();
  return {backward_input(node, dy, kernel, x.shape()),
          backward_kernel(node, x, dy, kernel.shape())};
}

// g has x's shape: the pairing g . BackwardInput(dy, k) = Conv2D(g, k) . dy.
Gradients gradient_backward_input(const Node& node, std::span<const Gradient> gradient) {
  const Value dy = node.input(0), kernel = node.input(1), g = gradient[0].dense();
  return {forward(node, g, kernel), backward_kernel(node, g, dy, kernel.shape())};
}

// g has the kernel's shape: the pairing g . BackwardKernel(x, dy) = Conv2D(x, g) . dy.
Gradients gradient_backward_kernel(const Node& node, std::span<const Gradient> gradient) {
  const Value x = node.input(0), dy = node.input(1), g = gradient[0].dense();
  return {backward_input(node, dy, g, x.shape()), forward(node, x, g)};
}

}  // namespace

Value conv2d(Value x, Value kernel, Conv2DOptions options) {
  want_kernel(x.shape(), kernel.shape(), options.groups, "conv2d");
  want_positive(options.strides, "strides", "conv2d");
  want_positive(options.dilation, "dilation", "conv2d");
  Attrs attrs{{"strides", std::vector<int64_t>(options.strides.begin(), options.strides.end())},
              {"dilation", std::vector<int64_t>(options.dilation.begin(), options.dilation.end())},
              {"groups", options.groups}};
  const Window window = window_of(kernel.shape(), attrs);
  attrs.set("pads", resolve_padding(options.padding, x.shape(), window, "conv2d"));
  return record("Conv2D", {x, kernel}, std::move(attrs));
}

void register_conv(OpRegistry& ops) {
  ops.add({.name = "Conv2D", .num_inputs = 2, .infer = infer_conv2d, .gradient = gradient_conv2d});
  ops.add({.name = "Conv2DBackwardInput",
           .num_inputs = 2,
           .infer = infer_backward_input,
           .gradient = gradient_backward_input});
  ops.add({.name = "Conv2DBackwardKernel",
           .num_inputs = 2,
           .infer = infer_backward_kernel,
           .gradient = gradient_backward_kernel});
  ops.add({.name = "FusedConv2D", .num_inputs = 3, .infer = infer_fused_conv2d});
}

}  // namespace cohort::ops
