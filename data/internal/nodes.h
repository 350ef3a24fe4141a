#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/data/dataset.h"
#include "cohort/data/internal/node.h"

/// One function per step of a description. Arguments are checked here, shapes where elements meet.
namespace cohort::data {

NodePtr tensors_node(Element components);
NodePtr tensor_slices_node(Element components);
NodePtr range_node(int64_t start, int64_t stop, int64_t step);
NodePtr zip_node(const std::vector<NodePtr>& inputs);

NodePtr shuffle_node(NodePtr input, int64_t buffer_size, const ShuffleOptions& options);
NodePtr repeat_node(NodePtr input, int64_t count);
NodePtr take_node(NodePtr input, int64_t count);
NodePtr skip_node(NodePtr input, int64_t count);
/// `none_empty`: iterating throws InvalidArgument where there are elements, but fewer than shards.
NodePtr shard_node(NodePtr input, int64_t num_shards, int64_t index, bool none_empty = false);
/// Whether `node` is the place of a shard whose numbers are kShardHint.
bool is_shard_hint(const Node& node);
NodePtr filter_node(NodePtr input, Predicate predicate);
NodePtr cache_node(NodePtr input);
NodePtr concatenate_node(NodePtr first, NodePtr second);

NodePtr batch_node(NodePtr input, int64_t batch_size, bool drop_remainder);
NodePtr batch_rows_node(const NodePtr& input, const RowSplit& split);
NodePtr rebatch_node(NodePtr input, std::vector<int64_t> sizes, bool drop_remainder);
NodePtr legacy_rebatch_node(NodePtr input, int64_t num_replicas);
NodePtr unbatch_node(NodePtr input);

/// `name` is how the step is described.
NodePtr map_node(NodePtr input, MapFunction function, MapOptions options,
                 std::string name = ".map");
NodePtr interleave_node(NodePtr input, DatasetFunction function, const InterleaveOptions& options);
NodePtr cast_node(NodePtr input, int component, DType dtype, double scale);
NodePtr prefetch_node(NodePtr input, int64_t buffer_size);

/// The background thread that runs `input` ahead of its reader, through `epochs` ends.
FlowPtr<Element> prefetch_flow(FlowPtr<Element> input, int64_t buffer_size, int64_t epochs);
/// Where `node` is a prefetch: its input and its buffer size.
struct PrefetchParts {
  NodePtr input;
  int64_t buffer_size;
};
std::optional<PrefetchParts> prefetch_parts(const Node& node);

}  // namespace cohort::data
