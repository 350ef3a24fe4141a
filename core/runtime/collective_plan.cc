#include "cohort/core/runtime/collective_plan.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/step_vote.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort {
namespace {

/// Positions of `node`'s inputs, earliest producer first.
std::vector<size_t> by_readiness(const Node& node) {
  std::vector<size_t> order(node.inputs().size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return node.input(static_cast<int>(a)).node()->id() <
           node.input(static_cast<int>(b)).node()->id();
  });
  return order;
}

int64_t padded_elements(const TensorType& type) {
  const int64_t per_line = 64 / static_cast<int64_t>(size_of(type.dtype));
  return (type.shape.num_elements() + per_line - 1) / per_line * per_line;
}

bool may_be_rounded(const Node& node, size_t input, const CollectivePlan& plan) {
  return plan.gradients_apart && node.input(static_cast<int>(input)).dtype() == DType::kF32 &&
         input < static_cast<size_t>(node.attrs().get_or<int64_t>("num_gradients", 0));
}

/// Cuts the inputs of one AllReduce into runs of equal dtype, with or without rounding, and about
/// bucket_bytes.
std::vector<std::vector<size_t>> cut(const Node& node, size_t bucket_bytes,
                                     const CollectivePlan& plan) {
  using Kind = std::pair<DType, bool>;
  std::map<Kind, std::vector<size_t>> open;
  std::map<Kind, size_t> open_bytes;
  std::vector<std::vector<size_t>> buckets;
  for (const size_t i : by_readiness(node)) {
    const TensorType& type = node.input(static_cast<int>(i)).type();
    if (!type.shape.is_concrete())
      throw InvalidArgument(
          "{}: all_reduce: got shape {}; want a shape that is the same on every replica (no batch "
          "dimension)",
          node.name(), type.shape);
    const Kind kind(type.dtype, may_be_rounded(node, i, plan));
    open[kind].push_back(i);
    size_t& bytes = open_bytes[kind];
    bytes += static_cast<size_t>(padded_elements(type)) * size_of(type.dtype);
    if (bytes < bucket_bytes) continue;
    buckets.push_back(std::move(open[kind]));
    open.erase(kind);
    bytes = 0;
  }
  for (auto& [kind, members] : open) buckets.push_back(std::move(members));
  return buckets;
}

Bucket layout(const Node& node, const std::vector<size_t>& members, ops::ReduceOp op) {
  Bucket bucket;
  bucket.dtype = node.input(static_cast<int>(members.front())).dtype();
  bucket.op = op;
  for (const size_t i : members) {
    bucket.offsets.push_back(bucket.num_elements);
    bucket.num_elements += padded_elements(node.input(static_cast<int>(i)).type());
  }
  return bucket;
}

Value divide_by_replicas(Value sum) {
  return sum / ops::cast(ops::step_info(ops::StepField::kNumReplicas), sum.dtype());
}

void rewrite_all_reduce(Rewriter& rewriter, const Node& node, size_t bucket_bytes,
                        CollectivePlan& plan) {
  auto op = static_cast<ops::ReduceOp>(node.attrs().get<int64_t>("reduce_op"));
  const bool mean = op == ops::ReduceOp::kMean;
  if (mean) op = ops::ReduceOp::kSum;
  GraphScope graph_scope(rewriter.graph());
  for (const auto& members : cut(node, bucket_bytes, plan)) {
    std::vector<Value> inputs;
    for (const size_t i : members) inputs.push_back(rewriter[node.input(static_cast<int>(i))]);
    const auto index = static_cast<int64_t>(plan.buckets.size());
    plan.buckets.push_back(layout(node, members, op));
    plan.buckets.back().may_be_rounded =
        op == ops::ReduceOp::kSum && may_be_rounded(node, members.front(), plan);
    Node* made = rewriter.graph().add("AllReduce", inputs,
                                      {{"reduce_op", static_cast<int64_t>(op)}, {"bucket", index}},
                                      {.name = node.name(), .control_inputs = {}});
    made->set_stage(node.stage());
    for (size_t k = 0; k < members.size(); ++k) {
      const Value reduced = made->output(static_cast<int>(k));
      Value old(const_cast<Node*>(&node), static_cast<int>(members[k]));
      rewriter.replace(old, mean ? divide_by_replicas(reduced) : reduced);
    }
  }
}

/// Nodes of ReduceScatter whose results lie apart, and which of them, one after the other, use one
/// memory: a gradient is made there when the one before has been scattered.
class Rings {
 public:
  /// So many, or more where more buckets are filled at once: one travels while the next is filled.
  static constexpr size_t kLeast = 2;

  Rings(std::span<const Node* const> live, CollectivePlan& plan) {
    if (plan.turns == Turns::kExchangeOnce) return;
    std::vector<Use> uses;
    for (const Node* node : live)
      if (node->op().exchange == Exchange::kScatter && node->attrs().get<bool>("apart"))
        uses.push_back(use_of(*node));
    std::stable_sort(uses.begin(), uses.end(),
                     [](const Use& a, const Use& b) { return a.first < b.first; });
    for (const Use& use : uses) place(use, plan);
  }

  /// Its ring; none where it has its bucket to itself.
  std::optional<size_t> of(const Node& node) const {
    const auto known = places_.find(&node);
    return known == places_.end() ? std::nullopt : std::optional(known->second.ring);
  }
  /// The parameter group whose bucket this one takes over; -1: nobody's.
  int64_t behind(const Node& node) const { return places_.at(&node).behind; }

 private:
  struct Use {
    const Node* node;
    int first, last;  ///< of the nodes that make its inputs
    size_t bytes;
  };
  struct Place {
    size_t ring;
    int64_t behind;
  };

  static Use use_of(const Node& node) {
    Use use{&node, node.id(), 0, 0};
    for (const Value& input : node.inputs()) {
      const int maker = root_of(input).node()->id();
      use.first = std::min(use.first, maker);
      use.last = std::max(use.last, maker);
    }
    return use;
  }

  void place(const Use& use, CollectivePlan& plan) {
    size_t ring = last_.size();
    for (size_t r = 0; r < last_.size() && last_.size() >= kLeast; ++r)
      if (last_[r].last < use.first && last_[r].node->id() < use.node->id() &&
          (ring == last_.size() || last_[r].last < last_[ring].last))
        ring = r;
    const int64_t group = use.node->attrs().get<int64_t>("group");
    const size_t bytes =
        static_cast<size_t>(plan.groups[static_cast<size_t>(group)].group->num_elements()) *
        size_of(use.node->input(0).dtype());
    if (ring == last_.size()) {
      places_[use.node] = {ring, -1};
      last_.push_back(use);
      plan.rings.push_back(bytes);
      return;
    }
    places_[use.node] = {ring, last_[ring].node->attrs().get<int64_t>("group")};
    last_[ring] = use;
    plan.rings[ring] = std::max(plan.rings[ring], bytes);
  }

  std::map<const Node*, Place> places_;
  std::vector<Use> last_;  ///< of each ring
};

void rewrite_reduce_scatter(Rewriter& rewriter, const Node& node, const Rings& rings,
                            CollectivePlan& plan) {
  const ParameterGroup& group =
      *plan.groups[static_cast<size_t>(node.attrs().get<int64_t>("group"))].group;
  Attrs attrs = node.attrs();
  attrs.set("bucket", static_cast<int64_t>(plan.buckets.size()));
  Bucket bucket;
  bucket.dtype = node.input(0).dtype();
  bucket.scatters = true;
  for (const ParameterGroup::Segment& segment : group.segments())
    bucket.offsets.push_back(segment.offset);
  bucket.num_elements = group.num_elements();
  bucket.may_be_rounded = plan.gradients_apart && bucket.dtype == DType::kF32;
  bucket.ring = rings.of(node);
  if (bucket.ring) attrs.set("behind", rings.behind(node));
  plan.buckets.push_back(std::move(bucket));
  rewriter.copy(node, std::move(attrs));
}

/// Copies a node; one that works on this rank's range of a group hears where that begins.
void copy_of_range(Rewriter& rewriter, const Node& node, const CollectivePlan& plan) {
  if (!node.attrs().has("group") || !node.attrs().has("first")) {
    rewriter.copy(node);
    return;
  }
  const auto group = static_cast<size_t>(node.attrs().get<int64_t>("group"));
  COHORT_CHECK(group < plan.groups.size());
  Attrs attrs = node.attrs();
  attrs.set("first", plan.rank * plan.groups[group].group->local_elements());
  rewriter.copy(node, std::move(attrs));
}

/// Behind which node a vote is taken; null: none is needed.
const Node* place_of_vote(const Graph& graph, std::span<const Value> fetches,
                          std::span<const Node* const> live, const CollectivePlan& plan) {
  const Node* place = plan.voters > 0 ? last_before_vote(graph, fetches) : nullptr;
  // A range that is written while another is not cannot be mended by its own rank.
  if (!place || !plan.kernels_throw || !plan.groups.empty()) return place;
  // A reduction on one device says nothing of another device of the same replica.
  if (std::any_of(live.begin(), live.end(),
                  [](const Node* node) { return node->device() != DeviceName{}; }))
    return place;
  const auto behind = std::find(live.begin(), live.end(), place);
  const bool reduction_is_vote =
      std::any_of(behind, live.end(), [](const Node* node) { return is_reduction(*node); });
  return reduction_is_vote ? nullptr : place;
}

void take_vote(Rewriter& rewriter, CollectivePlan& plan) {
  add_vote(rewriter.graph(), static_cast<int64_t>(plan.buckets.size()), plan.voters);
  Bucket& bucket = plan.buckets.emplace_back();
  bucket.dtype = DType::kI32;
  bucket.offsets = {0};
  bucket.num_elements = 64 / static_cast<int64_t>(size_of(bucket.dtype));
}

/// False for a gather along another axis, and of rows whose number depends on the batch.
bool rewrite_all_gather(Rewriter& rewriter, const Node& node, CollectivePlan& plan) {
  const TensorType& type = node.input(0).type();
  if (node.attrs().get<int64_t>("axis") != 0 || !type.shape.is_concrete()) return false;
  Attrs attrs = node.attrs();
  attrs.set("bucket", static_cast<int64_t>(plan.buckets.size()));
  Bucket bucket;
  bucket.dtype = type.dtype;
  bucket.gathers = true;
  bucket.offsets = {0};
  bucket.num_elements = type.shape.num_elements();
  plan.buckets.push_back(std::move(bucket));
  rewriter.copy(node, std::move(attrs));
  return true;
}

}  // namespace

bool is_reduction(const Node& node) { return node.op().exchange == Exchange::kReduce; }

bool is_publication(const Node& node) { return node.op().exchange == Exchange::kPublish; }

bool is_collective(const Node& node) {
  return node.op().kind == OpKind::kCollective && node.attrs().has("bucket");
}

void CollectivePlan::allocate(Communicator& communicator, int local_replicas, int num_replicas,
                              DType gradient_dtype) {
  std::vector<std::shared_ptr<void>> memories;
  for (const size_t bytes : rings) memories.push_back(communicator.allocate_bucket(bytes));
  for (Bucket& bucket : buckets) {
    bucket.memory =
        bucket.ring ? memories[*bucket.ring] : communicator.allocate_bucket(bucket.num_bytes());
    bucket.data = bucket.memory.get();
    CollectiveSpec spec{.dtype = bucket.dtype,
                        .count = bucket.num_elements,
                        .op = bucket.op,
                        .buffer = &bucket.data,
                        .timed = true};
    if (bucket.gathers) {
      const auto local = static_cast<size_t>(turns == Turns::kExchangeEach ? 1 : local_replicas),
                 all = static_cast<size_t>(num_replicas);
      if (local > 1) bucket.local_memory = communicator.allocate_bucket(local * bucket.num_bytes());
      bucket.local = local > 1 ? bucket.local_memory.get() : bucket.data;
      bucket.gathered_memory = communicator.allocate_bucket(all * bucket.num_bytes());
      bucket.gathered = bucket.gathered_memory.get();
      spec.kind = CollectiveKind::kAllGather;
      bucket.arriving = bucket.gathered;
      spec.count = static_cast<int64_t>(local) * bucket.num_elements;
      bucket.arriving_bytes = static_cast<size_t>(communicator.size()) * local * bucket.num_bytes();
      spec.buffer = &bucket.local;
      spec.output = &bucket.arriving;
    } else {
      if (bucket.scatters) spec.kind = CollectiveKind::kReduceScatter;
      if (bucket.may_be_rounded) spec.wire_dtype = gradient_dtype;
      bucket.own_elements = bucket.num_elements / communicator.size();
      bucket.scattered = static_cast<char*>(bucket.data) +
                         static_cast<size_t>(communicator.rank()) * bucket.own_bytes();
      bucket.own = bucket.scattered;
      if (bucket.ring) {
        bucket.own_memory = communicator.allocate_bucket(bucket.own_bytes());
        bucket.own = bucket.own_memory.get();
      }
    }
    bucket.request = communicator.prepare(spec);
  }
}

void CollectivePlan::place_groups(Device& device, Communicator& communicator) {
  for (PlacedGroup& placed : groups) {
    const ParameterGroup& group = *placed.group;
    COHORT_CHECK(group.placement().mesh().num_ranks() == communicator.size());
    placed.block = placed.group->place_on(device, communicator);
    placed.publish = communicator.prepare({.kind = CollectiveKind::kAllGather,
                                           .dtype = group.dtype(),
                                           .count = group.local_elements(),
                                           .buffer = placed.block->own(),
                                           .output = placed.block->parameters(),
                                           .lazy = device.type() == DeviceType::kCPU,
                                           .timed = true});
  }
}

size_t CollectivePlan::num_bytes() const {
  size_t bytes = 0;
  for (const Bucket& bucket : buckets)
    bytes += bucket.ring ? bucket.own_bytes() : bucket.num_bytes();
  for (const size_t ring : rings) bytes += ring;
  return bytes;
}

GroupMemory CollectivePlan::memory() const {
  GroupMemory memory;
  for (const Bucket& bucket : buckets)
    if (bucket.scatters) memory.gradients += bucket.ring ? bucket.own_bytes() : bucket.num_bytes();
  for (const size_t bytes : rings) memory.gradients += bytes;
  for (const PlacedGroup& placed : groups) {
    const ParameterGroup& group = *placed.group;
    memory.parameters += static_cast<size_t>(group.num_elements()) * size_of(group.dtype());
    for (const auto& slot : group.slots())
      memory.slots += static_cast<size_t>(group.local_elements()) * size_of(slot->dtype());
  }
  return memory;
}

std::chrono::nanoseconds CollectivePlan::waited() const {
  std::chrono::nanoseconds sum{0};
  for (const Bucket& bucket : buckets)
    if (bucket.request) sum += bucket.request->waited();
  for (const PlacedGroup& group : groups)
    if (group.publish) sum += group.publish->waited();
  return sum;
}

GraphFunction plan_collectives(const Graph& graph, std::span<const Value> fetches,
                               size_t bucket_bytes, CollectivePlan& plan) {
  Rewriter rewriter(graph, fetches);
  const Node* before_vote = place_of_vote(graph, fetches, rewriter.nodes(), plan);
  const Rings rings(rewriter.nodes(), plan);
  for (const Node* node : rewriter.nodes()) {
    if (node->stage() == Stage::kCommit) continue;
    if (is_reduction(*node)) {
      rewrite_all_reduce(rewriter, *node, bucket_bytes, plan);
    } else if (node->op().exchange == Exchange::kScatter) {
      rewrite_reduce_scatter(rewriter, *node, rings, plan);
    } else if (node->op().exchange != Exchange::kGather ||
               !rewrite_all_gather(rewriter, *node, plan)) {
      copy_of_range(rewriter, *node, plan);
    }
    if (node == before_vote) take_vote(rewriter, plan);
  }
  // Behind the vote, whose result they obey.
  for (const Node* node : rewriter.nodes()) {
    if (is_update(*node) && !node->attrs().has("group"))
      copy_update_in_layout_order(rewriter, *node);
    else if (node->stage() == Stage::kCommit)
      rewriter.copy(*node);
  }
  return rewriter.finish();
}

}  // namespace cohort
