#include "cohort/core/ops/fused.h"

#include "cohort/core/ops/common.h"

namespace cohort::ops {
namespace {

Types infer(const InferContext& in) {
  const auto& body = *in.attrs().get<std::shared_ptr<const Graph>>("body");
  const auto& placeholders = body.placeholders();
  if (body.nodes().empty())
    throw InvalidArgument(
        "fused_elementwise: got a body without nodes; want one that gives a value");
  if (static_cast<int>(placeholders.size()) != in.num_inputs())
    throw InvalidArgument("fused_elementwise: got {} inputs; want {}", in.num_inputs(),
                          placeholders.size());
  for (int i = 0; i < in.num_inputs(); ++i) {
    const TensorType& want = placeholders[static_cast<size_t>(i)]->output_types()[0];
    if (in.input(i) != want)
      throw InvalidArgument("fused_elementwise: got {} {} for input {}; want {} {}", in.dtype(i),
                            in.shape(i), i, want.dtype, want.shape);
  }
  const std::vector<TensorType>& results = body.nodes().back()->output_types();
  if (results.empty())
    throw InvalidArgument("fused_elementwise: got a body that gives nothing; want a value");
  return {results[0]};
}

/// Whether `input` is 1 in the dimensions [begin, end) of `output`, its own aligned at the last.
bool is_one(const Shape& output, const Shape& input, int begin, int end) {
  const int missing = output.rank() - input.rank();
  for (int axis = begin; axis < end; ++axis)
    if (axis >= missing && input.size(axis - missing) != 1) return false;
  return true;
}

/// Whether it is equal to `output` there.
bool is_equal(const Shape& output, const Shape& input, int begin, int end) {
  const int missing = output.rank() - input.rank();
  for (int axis = begin; axis < end; ++axis)
    if ((axis < missing ? 1 : input.size(axis - missing)) != output.size(axis)) return false;
  return true;
}

/// How `input` moves over the rows (dimensions before `split`) and columns of `output`.
std::optional<FusedWalk::Input> movement(const Shape& output, const Shape& input, int split) {
  const int rank = output.rank();
  if (input == output) return FusedWalk::Input{true, true};
  if (is_one(output, input, 0, rank)) return FusedWalk::Input{};
  if (is_one(output, input, 0, split) && is_equal(output, input, split, rank))
    return FusedWalk::Input{.by_column = true};
  if (is_equal(output, input, 0, split) && is_one(output, input, split, rank))
    return FusedWalk::Input{.by_row = true};
  return std::nullopt;
}

std::optional<FusedWalk> walk_split_at(const Shape& output, std::span<const Shape> inputs,
                                       int split) {
  FusedWalk walk{output.num_elements(0, split), output.num_elements(split, output.rank()), {}};
  for (const Shape& input : inputs) {
    const auto moves = movement(output, input, split);
    if (!moves) return std::nullopt;
    walk.inputs.push_back(*moves);
  }
  return walk;
}

}  // namespace

std::optional<FusedWalk> plan_fused_walk(const Shape& output, std::span<const Shape> inputs) {
  for (int split = 0; split <= output.rank(); ++split)
    if (auto walk = walk_split_at(output, inputs, split)) return walk;
  return std::nullopt;
}

void register_fused(OpRegistry& ops) {
  ops.add({.name = "FusedElementwise", .num_inputs = -1, .infer = infer});
}

}  // namespace cohort::ops
