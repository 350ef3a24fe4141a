#include "cohort/core/ops/slices.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

void want_slices(const InferContext& in, std::string_view where) {
  want_index_dtype(in, 0, where);
  want_floating(in, 1, where);
  const Shape &indices = in.shape(0), &values = in.shape(1);
  if (indices.rank() != 1 || values.rank() < 1 || values[0] != indices[0])
    throw InvalidArgument("{}: got indices {}, values {}; want [K] and [K, ...]", where, indices,
                          values);
}

Types infer_pad_slices(const InferContext& in) {
  want_slices(in, "pad_slices");
  const int64_t rows = in.attrs().get<int64_t>("rows");
  const Dim& given = in.shape(0)[0];
  if (!given.is_symbol() && given.number() > rows)
    throw InvalidArgument("pad_slices: got {} rows; want {} at most, the most of a full batch",
                          given, rows);
  Shape values = in.shape(1);
  values[0] = Dim(rows);
  return {{DType::kI32, Shape{rows}}, {in.dtype(1), values}};
}

Types infer_combine(const InferContext& in) {
  want_slices(in, "combine_slices");
  want_dtype(in, 0, DType::kI32, "combine_slices");
  return {in.input(0), in.input(1)};
}

Slices record_slices(std::string_view op, const Slices& slices, Attrs attrs) {
  Node* node = record_node(op, {slices.indices, slices.values}, std::move(attrs));
  return {node->output(0), node->output(1), slices.dense_shape};
}

}  // namespace

Slices pad_slices(const Slices& slices, int64_t rows) {
  return record_slices("PadSlices", slices, {{"rows", rows}});
}

Slices combine_slices(const Slices& slices, int64_t part_rows) {
  if (slices.dense_shape[0].number() > kLargestTable)
    throw InvalidArgument("combine_slices: got a table of {} rows; want {} at most",
                          slices.dense_shape[0], kLargestTable);
  Slices narrow = slices;
  if (narrow.indices.dtype() != DType::kI32) narrow.indices = cast(narrow.indices, DType::kI32);
  return record_slices("CombineSlices", narrow,
                       {{"part_rows", part_rows}, {"shape", slices.dense_shape}});
}

bool is_combined(const Slices& slices) {
  return slices.indices.node()->op_name() == "CombineSlices";
}

void register_slices(OpRegistry& ops) {
  ops.add(
      {.name = "PadSlices", .num_inputs = 2, .infer = infer_pad_slices, .gradient = no_gradient});
  ops.add(
      {.name = "CombineSlices", .num_inputs = 2, .infer = infer_combine, .gradient = no_gradient});
}

}  // namespace cohort::ops
