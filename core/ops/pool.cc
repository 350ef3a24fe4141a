#include "cohort/core/ops/pool.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/window.h"

namespace cohort::ops {
namespace {

Shape pooled_shape(const Shape& x, const Attrs& attrs, std::string_view where) {
  want_image(x, where);
  const Window window{pair_attr(attrs, "pool_size"), pair_attr(attrs, "strides")};
  return windowed_shape(x, window, attrs.get<std::vector<int64_t>>("pads"), x[3], where);
}

Types infer_max_pool2d(const InferContext& in) {
  want_floating(in, 0, "max_pool2d");
  const auto size = pair_attr(in.attrs(), "pool_size");
  if (size[0] * size[1] > 255)
    throw Unimplemented("max_pool2d: got a pool of {} x {}; want at most 255 places", size[0],
                        size[1]);
  const Shape y = pooled_shape(in.shape(0), in.attrs(), "max_pool2d");
  return {{in.dtype(0), y}, {DType::kU8, y}};
}

Types infer_avg_pool2d(const InferContext& in) {
  want_floating(in, 0, "avg_pool2d");
  return {{in.dtype(0), pooled_shape(in.shape(0), in.attrs(), "avg_pool2d")}};
}

Types infer_backward(const InferContext& in, std::string_view where) {
  const Shape& x = in.attrs().get<Shape>("shape");
  const Shape y = pooled_shape(x, in.attrs(), where);
  for (int i = 0; i < in.num_inputs(); ++i)
    if (in.shape(i) != y)
      throw InvalidArgument("{}: got {} for x {}; want {}", where, in.shape(i), x, y);
  return {{in.dtype(0), x}};
}

Types infer_max_pool2d_grad(const InferContext& in) {
  want_dtype(in, 1, DType::kU8, "max_pool2d_grad");
  return infer_backward(in, "max_pool2d_grad");
}

Types infer_avg_pool2d_grad(const InferContext& in) {
  return infer_backward(in, "avg_pool2d_grad");
}

Attrs with_shape(Attrs attrs, const Shape& x) {
  attrs.set("shape", x);
  return attrs;
}

Gradients gradient_max_pool2d(const Node& node, std::span<const Gradient> dy) {
  if (dy[0].absent()) return {};
  return {record("MaxPool2DGrad", {dy[0].dense(), output_of(node, 1)},
                 with_shape(node.attrs(), node.input(0).shape()))};
}

Gradients gradient_avg_pool2d(const Node& node, std::span<const Gradient> dy) {
  return {
      record("AvgPool2DGrad", {dy[0].dense()}, with_shape(node.attrs(), node.input(0).shape()))};
}

// AvgPool2DGrad is the transpose of the linear map AvgPool2D, whose transpose is AvgPool2D again.
Gradients gradient_avg_pool2d_grad(const Node& node, std::span<const Gradient> g) {
  Attrs attrs;
  for (const char* name : {"pool_size", "strides", "pads"})
    attrs.set(name, *node.attrs().find(name));
  return {record("AvgPool2D", {g[0].dense()}, std::move(attrs))};
}

Attrs pool_attrs(const Shape& x, const Pool2DOptions& options, std::string_view where) {
  Window window{options.pool_size, options.strides};
  for (size_t i = 0; i < 2; ++i)
    if (window.strides[i] == 0) window.strides[i] = window.size[i];
  want_positive(window.size, "a pool of", where);
  want_positive(window.strides, "strides", where);
  return {{"pool_size", std::vector<int64_t>(window.size.begin(), window.size.end())},
          {"strides", std::vector<int64_t>(window.strides.begin(), window.strides.end())},
          {"pads", resolve_padding(options.padding, x, window, where)}};
}

}  // namespace

Value max_pool2d(Value x, Pool2DOptions options) {
  return record("MaxPool2D", {x}, pool_attrs(x.shape(), options, "max_pool2d"));
}

Value avg_pool2d(Value x, Pool2DOptions options) {
  return record("AvgPool2D", {x}, pool_attrs(x.shape(), options, "avg_pool2d"));
}

Value global_avg_pool2d(Value x, bool keepdims) {
  want_image(x.shape(), "global_avg_pool2d");
  return reduce_mean(x, {.axis = {1, 2}, .keepdims = keepdims});
}

Value global_max_pool2d(Value x, bool keepdims) {
  want_image(x.shape(), "global_max_pool2d");
  return reduce_max(x, {.axis = {1, 2}, .keepdims = keepdims});
}

void register_pool(OpRegistry& ops) {
  ops.add({.name = "MaxPool2D",
           .num_inputs = 1,
           .infer = infer_max_pool2d,
           .gradient = gradient_max_pool2d});
  ops.add({.name = "AvgPool2D",
           .num_inputs = 1,
           .infer = infer_avg_pool2d,
           .gradient = gradient_avg_pool2d});
  ops.add({.name = "MaxPool2DGrad", .num_inputs = 2, .infer = infer_max_pool2d_grad});
  ops.add({.name = "AvgPool2DGrad",
           .num_inputs = 1,
           .infer = infer_avg_pool2d_grad,
           .gradient = gradient_avg_pool2d_grad});
}

}  // namespace cohort::ops
