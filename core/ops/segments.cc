#include "cohort/core/ops/segments.h"

#include "cohort/core/ops/common.h"

namespace cohort::ops {
namespace {

int64_t lines_of(int64_t elements) { return (elements + kSumLine - 1) / kSumLine; }

int64_t lines_of(const Attrs& attrs) {
  int64_t lines = 0;
  for (const int64_t elements : attrs.get<std::vector<int64_t>>("elements"))
    lines += lines_of(elements);
  return lines;
}

Attrs attrs_of(const SegmentTable& table) {
  return {{"offsets", table.offsets}, {"elements", table.elements}};
}

Types infer_sums(const InferContext& in) {
  want_floating(in, 0, "segment_sums");
  if (in.shape(0).rank() != 1)
    throw InvalidArgument("segment_sums: got x {}; want a range of a group, [N]", in.shape(0));
  return {{DType::kF64, Shape{lines_of(in.attrs())}}};
}

Types infer_totals(const InferContext& in) {
  if (in.input(0) != TensorType{DType::kF64, Shape{lines_of(in.attrs())}})
    throw InvalidArgument("segment_totals: got sums {} {}; want float64 [{}]", in.dtype(0),
                          in.shape(0), lines_of(in.attrs()));
  return Types(in.attrs().get<std::vector<int64_t>>("elements").size(),
               {in.attrs().get<DType>("dtype"), {}});
}

Types infer_spread(const InferContext& in) {
  want_inputs(in, 1, "spread_segments");
  want_same_dtypes(in, "spread_segments");
  const auto segments = static_cast<int>(in.attrs().get<std::vector<int64_t>>("elements").size());
  if (in.num_inputs() != segments || in.shape(0).rank() != 0)
    throw InvalidArgument("spread_segments: got {} values, the first {}; want {} scalars",
                          in.num_inputs(), in.shape(0), segments);
  return {{in.dtype(0), in.attrs().get<Shape>("shape")}};
}

}  // namespace

Value segment_sums(Value x, const SegmentTable& table, int64_t group) {
  Attrs attrs = attrs_of(table);
  attrs.set("group", group);
  attrs.set("first", int64_t{0});
  return record("SegmentSums", {x}, std::move(attrs));
}

std::vector<Value> segment_totals(Value sums, const SegmentTable& table, DType dtype) {
  Attrs attrs = attrs_of(table);
  attrs.set("dtype", dtype);
  Node* node = record_node("SegmentTotals", {sums}, std::move(attrs));
  std::vector<Value> totals;
  for (int i = 0; i < node->num_outputs(); ++i) totals.push_back(node->output(i));
  return totals;
}

Value spread_segments(std::span<const Value> scalars, const SegmentTable& table, int64_t group,
                      int64_t elements) {
  Attrs attrs = attrs_of(table);
  attrs.set("group", group);
  attrs.set("first", int64_t{0});
  attrs.set("shape", Shape{elements});
  return record("SpreadSegments", {scalars.begin(), scalars.end()}, std::move(attrs));
}

void register_segments(OpRegistry& ops) {
  ops.add({.name = "SegmentSums", .num_inputs = 1, .infer = infer_sums});
  ops.add({.name = "SegmentTotals", .num_inputs = 1, .infer = infer_totals});
  ops.add({.name = "SpreadSegments", .num_inputs = -1, .infer = infer_spread});
}

}  // namespace cohort::ops
