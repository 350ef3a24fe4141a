#include "cohort/data/auto_shard.h"

#include <algorithm>

#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

/// What the sources under a node are.
struct Sources {
  int64_t num_lists = 0;     ///< sources of files
  int64_t fewest_files = 0;  ///< in one of them
  std::string obstacle;      ///< why the node cannot be sharded by file; empty: it can
};

void look(const Node& node, Sources& sources) {
  if (const auto* files = node.files()) {
    const int64_t count = std::ssize(*files);
    sources.fewest_files = sources.num_lists == 0 ? count : std::min(sources.fewest_files, count);
    ++sources.num_lists;
    return;
  }
  const std::vector<NodePtr> inputs = node.inputs();
  if (inputs.empty())
    sources.obstacle = fmt::format("{} reads no list of files", node.describe());
  else if (!node.with_inputs(inputs))
    sources.obstacle = fmt::format("{} has a step that cannot be moved", node.describe());
  for (const NodePtr& input : inputs) look(*input, sources);
}

NodePtr shard_files(const Node& node, int64_t num_workers, int64_t index) {
  if (const auto* files = node.files()) {
    std::vector<std::string> own;
    for (int64_t i = index; i < std::ssize(*files); i += num_workers)
      own.push_back((*files)[static_cast<size_t>(i)]);
    return node.with_files(std::move(own));
  }
  std::vector<NodePtr> inputs = node.inputs();
  for (NodePtr& input : inputs) input = shard_files(*input, num_workers, index);
  return node.with_inputs(std::move(inputs));
}

NodePtr shard_data(const NodePtr& node, int64_t num_workers, int64_t index) {
  if (const auto prefetch = prefetch_parts(*node))
    return prefetch_node(shard_data(prefetch->input, num_workers, index), prefetch->buffer_size);
  const int64_t size = node->cardinality();
  if (size > 0 && size < num_workers)
    throw InvalidArgument(
        "auto_shard: got {} elements for {} workers; want at least one for each: fewer workers, or "
        "AutoShardPolicy::kOff",
        size, num_workers);
  return shard_node(node, num_workers, index, true);
}

NodePtr replace_hints(const NodePtr& node, int64_t num_workers, int64_t index) {
  std::vector<NodePtr> inputs = node->inputs();
  if (inputs.empty()) return node;
  const std::vector<NodePtr> before = inputs;
  for (NodePtr& input : inputs) input = replace_hints(input, num_workers, index);
  if (is_shard_hint(*node)) return shard_node(inputs[0], num_workers, index);
  if (inputs == before) return node;
  NodePtr moved = node->with_inputs(std::move(inputs));
  if (!moved)
    throw Unimplemented("auto_shard: got a shard hint before a step of {} that cannot be moved",
                        node->describe());
  return moved;
}

ShardingPlan by_data(int64_t num_workers, const std::string& reason) {
  return {
      AutoShardPolicy::kData,
      fmt::format("input is shared by DATA: each of {} workers reads everything and keeps every "
                  "{}{} element{}",
                  num_workers, num_workers, num_workers == 2 ? "nd" : "th", reason)};
}

ShardingPlan by_file(const Sources& sources, int64_t num_workers) {
  return {
      AutoShardPolicy::kFile,
      fmt::format("input is shared by FILE: each of {} workers reads every {}{} of {} files{}",
                  num_workers, num_workers, num_workers == 2 ? "nd" : "th", sources.fewest_files,
                  sources.fewest_files < num_workers ? ", so that some have none" : "")};
}

/// One worker shares with nobody; how batches are cut for its replicas depends on the policy still.
ShardingPlan whole(const Sources& sources, AutoShardPolicy policy) {
  if (policy == AutoShardPolicy::kAuto)
    policy = sources.obstacle.empty() ? AutoShardPolicy::kFile : AutoShardPolicy::kData;
  return {policy, "input is whole: there is one worker"};
}

}  // namespace

ShardingPlan plan_sharding(const Dataset& dataset, int64_t num_workers, AutoShardPolicy policy) {
  if (num_workers < 1)
    throw InvalidArgument("auto_shard: got {} workers; want 1 or more", num_workers);
  Sources sources;
  look(*dataset.node(), sources);
  if (num_workers == 1) return whole(sources, policy);
  switch (policy) {
    case AutoShardPolicy::kAuto:
      if (!sources.obstacle.empty()) return by_data(num_workers, ", because " + sources.obstacle);
      if (sources.fewest_files < num_workers)
        return by_data(num_workers, fmt::format(", because there are {} files for {} workers",
                                                sources.fewest_files, num_workers));
      return by_file(sources, num_workers);
    case AutoShardPolicy::kFile:
      if (!sources.obstacle.empty())
        throw NotFound("auto_shard: {}; want sources of files for AutoShardPolicy::kFile",
                       sources.obstacle);
      return by_file(sources, num_workers);
    case AutoShardPolicy::kData:
      return by_data(num_workers, "");
    case AutoShardPolicy::kOff:
      return {policy,
              fmt::format("input is not shared: each of {} workers has all of it", num_workers)};
    case AutoShardPolicy::kHint:
      return {policy, fmt::format("input is shared by HINT: {} workers, where the dataset says so",
                                  num_workers)};
  }
  throw InvalidArgument("auto_shard: got policy number {}; want kAuto to kHint",
                        static_cast<int>(policy));
}

ShardingPlan plan_sharding(const Dataset& dataset, int64_t num_workers) {
  return plan_sharding(dataset, num_workers, dataset.options().auto_shard_policy);
}

Dataset auto_shard(const Dataset& dataset, int64_t num_workers, int64_t index,
                   AutoShardPolicy policy) {
  if (index < 0 || index >= num_workers)
    throw InvalidArgument("auto_shard: got worker {} of {}; want 0 to {}", index, num_workers,
                          num_workers - 1);
  if (num_workers == 1 && policy != AutoShardPolicy::kHint) return dataset;
  const auto share = [&](NodePtr node) { return Dataset(std::move(node), dataset.options()); };
  switch (plan_sharding(dataset, num_workers, policy).policy) {
    case AutoShardPolicy::kFile:
      return share(shard_files(*dataset.node(), num_workers, index));
    case AutoShardPolicy::kData:
      return share(shard_data(dataset.node(), num_workers, index));
    case AutoShardPolicy::kHint:
      return share(replace_hints(dataset.node(), num_workers, index));
    default:
      return dataset;
  }
}

Dataset auto_shard(const Dataset& dataset, int64_t num_workers, int64_t index) {
  return auto_shard(dataset, num_workers, index, dataset.options().auto_shard_policy);
}

}  // namespace cohort::data
