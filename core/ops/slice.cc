#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/symbol.h"

// Slice and Pad: each is the gradient of the other's shape, SliceGrad the one of strided slices.
namespace cohort::ops {
namespace {

using Numbers = std::vector<int64_t>;

const Numbers& numbers(const Attrs& attrs, std::string_view name) {
  return attrs.get<Numbers>(name);
}

void want_per_axis(const Numbers& numbers, const Shape& x, std::string_view where) {
  if (static_cast<int>(numbers.size()) != x.rank())
    throw InvalidArgument("{}: got {} numbers for shape {}; want one for each axis", where,
                          numbers.size(), x);
}

/// The size of x[begin : end : stride] on an axis of size `size`.
Dim sliced(const Dim& size, int64_t begin, int64_t end, int64_t stride, const Shape& x) {
  const auto refuse = [&](std::string_view wanted) {
    return InvalidArgument("slice: got {}:{}:{} on an axis of size {} of {}; want {}", begin, end,
                           stride, size, x, wanted);
  };
  if (begin < 0 || (end < begin && end != kWholeAxis)) throw refuse("0 <= begin <= end");
  if (stride < 1) throw refuse("a stride of at least 1");
  if (size.is_symbol()) {
    if (end != kWholeAxis || (stride != 1 && begin != 0))
      throw refuse("the axis to its end, for its size is not known while the graph is built");
    if (stride == 1) return subtract(size, Dim(begin));
    const auto steps = divide(size, Dim(stride));
    if (!steps) throw refuse("a stride that divides the size");
    return *steps;
  }
  const int64_t stop = end == kWholeAxis ? size.number() : end;
  if (begin > stop || stop > size.number()) throw refuse("begin <= end <= size");
  return begin == stop ? 0 : (stop - begin - 1) / stride + 1;
}

Shape sliced_shape(const Shape& x, const Attrs& attrs) {
  const Numbers& begin = numbers(attrs, "begin");
  const Numbers& end = numbers(attrs, "end");
  const Numbers& strides = numbers(attrs, "strides");
  for (const Numbers* per_axis : {&begin, &end, &strides}) want_per_axis(*per_axis, x, "slice");
  Shape y;
  for (size_t i = 0; i < begin.size(); ++i)
    y.push_back(sliced(x[static_cast<int>(i)], begin[i], end[i], strides[i], x));
  return y;
}

Types infer_slice(const InferContext& in) {
  return {{in.dtype(0), sliced_shape(in.shape(0), in.attrs())}};
}

Gradients gradient_slice(const Node& node, std::span<const Gradient> dy) {
  return {record("SliceGrad", {dy[0].dense(), node.input(0)}, node.attrs())};
}

Types infer_slice_grad(const InferContext& in) {
  want_same_dtypes(in, "slice_grad");
  const Shape y = sliced_shape(in.shape(1), in.attrs());
  if (in.shape(0) != y)
    throw InvalidArgument("slice_grad: got dy {} for x {}; want {}", in.shape(0), in.shape(1), y);
  return {in.input(1)};
}

// x gives its shape only.
Gradients gradient_slice_grad(const Node& node, std::span<const Gradient> g) {
  return {record("Slice", {g[0].dense()}, node.attrs()), Gradient()};
}

Types infer_pad(const InferContext& in) {
  const Shape& x = in.shape(0);
  const Numbers& before = numbers(in.attrs(), "before");
  const Numbers& after = numbers(in.attrs(), "after");
  want_per_axis(before, x, "pad");
  want_per_axis(after, x, "pad");
  Shape y;
  for (size_t i = 0; i < before.size(); ++i) {
    constexpr int64_t kLargest = int64_t{1} << 60;
    if (before[i] < 0 || after[i] < 0 || before[i] > kLargest || after[i] > kLargest)
      throw InvalidArgument("pad: got {} before and {} after on axis {} of {}; want 0 or more",
                            before[i], after[i], i, x);
    y.push_back(add(x[static_cast<int>(i)], Dim(before[i] + after[i])));
  }
  return {{in.dtype(0), y}};
}

Gradients gradient_pad(const Node& node, std::span<const Gradient> dy) {
  const Shape& x = node.input(0).shape();
  const Numbers& before = numbers(node.attrs(), "before");
  const Numbers& after = numbers(node.attrs(), "after");
  Numbers end;
  for (size_t i = 0; i < before.size(); ++i) {
    const Dim& size = x[static_cast<int>(i)];
    if (size.is_symbol() && after[i] != 0)
      throw Unimplemented(
          "pad: got a gradient for padding after axis {} of {}, whose size is not known while the "
          "graph is built; want a numbered axis",
          i, x);
    end.push_back(size.is_symbol() ? kWholeAxis : before[i] + size.number());
  }
  return {slice(dy[0].dense(), before, end)};
}

}  // namespace

Value slice(Value x, std::vector<int64_t> begin, std::vector<int64_t> end,
            std::vector<int64_t> strides) {
  if (strides.empty()) strides.assign(begin.size(), 1);
  return record(
      "Slice", {x},
      {{"begin", std::move(begin)}, {"end", std::move(end)}, {"strides", std::move(strides)}});
}

Value slice_axis(Value x, int64_t axis, int64_t begin, int64_t end) {
  const auto at = static_cast<size_t>(x.shape().axis(axis, "slice_axis"));
  Numbers first(static_cast<size_t>(x.rank()), 0), last(static_cast<size_t>(x.rank()), kWholeAxis);
  first[at] = begin;
  last[at] = end;
  return slice(x, std::move(first), std::move(last));
}

std::vector<Value> split(Value x, int parts, int64_t axis) {
  const int at = x.shape().axis(axis, "split");
  const Dim& size = x.shape()[at];
  if (parts < 1 || size.is_symbol() || size.number() % parts != 0)
    throw InvalidArgument("split: got {} parts of axis {} of {}; want a number that divides it",
                          parts, axis, x.shape());
  const int64_t step = size.number() / parts;
  std::vector<Value> pieces;
  for (int i = 0; i < parts; ++i) pieces.push_back(slice_axis(x, at, i * step, (i + 1) * step));
  return pieces;
}

Value pad(Value x, std::vector<int64_t> before, std::vector<int64_t> after, double value) {
  return record("Pad", {x},
                {{"before", std::move(before)}, {"after", std::move(after)}, {"value", value}});
}

void register_slice(OpRegistry& ops) {
  ops.add({.name = "Slice", .num_inputs = 1, .infer = infer_slice, .gradient = gradient_slice});
  ops.add({.name = "SliceGrad",
           .num_inputs = 2,
           .infer = infer_slice_grad,
           .gradient = gradient_slice_grad});
  ops.add({.name = "Pad", .num_inputs = 1, .infer = infer_pad, .gradient = gradient_pad});
}

}  // namespace cohort::ops
