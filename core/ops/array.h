#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

/// Op "Reshape"; attr "shape": a Shape, symbols allowed. Free of cost at run time.
Value reshape(Value x, Shape shape);
/// Keeps the first `begin` and dimensions from `end`; dimensions between become one. flatten(x, 1,
/// rank) is Keras' Flatten.
Value flatten(Value x, int begin, int end);
/// Op "Transpose"; attr "permutation".
Value transpose(Value x, std::vector<int64_t> permutation);
/// Op "Concat": any number of inputs equal but for `axis`; attr "axis".
Value concat(std::span<const Value> values, int64_t axis);
Value concat(const std::vector<Value>& values, int64_t axis);
/// Op "Slice": x[begin : end : stride] along each axis; attrs "begin", "end", "strides". A whole
/// symbolic axis is written begin 0, end -1 (attr kWholeAxis), stride 1.
inline constexpr int64_t kWholeAxis = -1;
Value slice(Value x, std::vector<int64_t> begin, std::vector<int64_t> end,
            std::vector<int64_t> strides = {});
/// x[..., begin:end, ...] on one axis.
Value slice_axis(Value x, int64_t axis, int64_t begin, int64_t end);
/// `parts` equal pieces along axis.
std::vector<Value> split(Value x, int parts, int64_t axis);
/// Op "SliceGrad": (dy, x) -> dy scattered into zeros of x's shape, attrs as Slice.
/// Op "Pad"; attrs "before", "after" (one number per axis), "value".
Value pad(Value x, std::vector<int64_t> before, std::vector<int64_t> after, double value = 0);
Value expand_dims(Value x, int64_t axis);
Value squeeze(Value x, int64_t axis);
/// Op "BroadcastTo"; attr "shape".
Value broadcast_to(Value x, Shape shape);
/// Op "Shape0": the number of rows of x (dimension 0) as an i64 scalar, known at run time.
Value num_rows(Value x);

void register_array(OpRegistry& ops);

}  // namespace cohort::ops
