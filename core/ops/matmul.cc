#include "cohort/core/ops/matmul.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/symbol.h"

// y[..., m, n] = sum over k of a[..., m, k] b[..., k, n].
namespace cohort::ops {
namespace {

Shape infer_shape(const InferContext& in, std::string_view where) {
  want_floating(in, 0, where);
  want_same_dtypes(in, where);
  const Shape &a = in.shape(0), &b = in.shape(1);
  const bool transpose_a = in.attrs().get_or("transpose_a", false);
  const bool transpose_b = in.attrs().get_or("transpose_b", false);
  const int ra = a.rank(), rb = b.rank();
  if (ra < 2 || rb < 2)
    throw InvalidArgument("{}: got a {}, b {}; want a [..., M, K], b [..., K, N]", where, a, b);
  const Dim &m = a[transpose_a ? ra - 1 : ra - 2], &k = a[transpose_a ? ra - 2 : ra - 1];
  const Dim &kb = b[transpose_b ? rb - 1 : rb - 2], &n = b[transpose_b ? rb - 2 : rb - 1];
  if (k != kb)
    throw InvalidArgument("{}: got a {}{}, b {}{}; want equal inner dimensions, not {} and {}",
                          where, a, transpose_a ? " (transposed)" : "", b,
                          transpose_b ? " (transposed)" : "", k, kb);
  Shape y = broadcast(a.slice(0, ra - 2), b.slice(0, rb - 2), where);
  y.push_back(m);
  y.push_back(n);
  return y;
}

Types infer_matmul(const InferContext& in) { return {{in.dtype(0), infer_shape(in, "matmul")}}; }

Types infer_fused_matmul(const InferContext& in) {
  const Shape y = infer_shape(in, "fused_matmul");
  const Shape& bias = in.shape(2);
  if (bias.rank() != 1 || bias[0] != y[y.rank() - 1])
    throw InvalidArgument("fused_matmul: got bias {}; want [{}]", bias, y[y.rank() - 1]);
  return {{in.dtype(0), y}};
}

/// All axes but the last made one.
Value rows_of(Value x) { return flatten(x, 0, x.rank() - 1); }

// With a' and b' the operands after their transpositions: da' = dy b'^T, db' = a'^T dy. Where b is
// one matrix for a stack of a's, the stack is one tall matrix, which spares the sum over it.
Gradients gradient_matmul(const Node& node, std::span<const Gradient> gradients) {
  const Value a = node.input(0), b = node.input(1), dy = gradients[0].dense();
  const bool ta = node.attrs().get_or("transpose_a", false);
  const bool tb = node.attrs().get_or("transpose_b", false);
  const Value da = ta ? matmul(b, dy, {.transpose_a = tb, .transpose_b = true})
                      : matmul(dy, b, {.transpose_b = !tb});
  const bool tall = b.rank() == 2 && a.rank() > 2 && !ta;
  const Value left = tall ? rows_of(a) : a, right = tall ? rows_of(dy) : dy;
  const Value db = tb ? matmul(right, left, {.transpose_a = true, .transpose_b = ta})
                      : matmul(left, right, {.transpose_a = !ta});
  return {sum_to_shape(da, a.shape()), sum_to_shape(db, b.shape())};
}

}  // namespace

Value matmul(Value a, Value b, MatMulOptions options) {
  return record("MatMul", {a, b},
                {{"transpose_a", options.transpose_a}, {"transpose_b", options.transpose_b}});
}

void register_matmul(OpRegistry& ops) {
  ops.add({.name = "MatMul", .num_inputs = 2, .infer = infer_matmul, .gradient = gradient_matmul});
  ops.add({.name = "FusedMatMul", .num_inputs = 3, .infer = infer_fused_matmul});
}

}  // namespace cohort::ops
