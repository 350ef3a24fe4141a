#include "cohort/distribute/placement/sharded_gradients.h"

#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/runtime/update_layout.h"

namespace cohort::distribute {
namespace {

bool is_gradient_sum(Value value) {
  const Node& node = *value.node();
  if (node.op().exchange != Exchange::kPlaced || !node.attrs().has("roles")) return false;
  const auto role =
      static_cast<ops::Role>(node.attrs().get<std::vector<int64_t>>("roles")[value.index()]);
  const auto op = static_cast<ops::ReduceOp>(node.attrs().get<int64_t>("reduce_op"));
  return role == ops::Role::kGradient && op == ops::ReduceOp::kSum;
}

/// When a sum over replicas can begin.
int readiness(Value sum) { return sum.node()->input(sum.index()).node()->id(); }

bool are_equal(const Attr& a, const Attr& b) {
  return std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        const T* other = std::get_if<T>(&b);
        if constexpr (std::is_same_v<T, Tensor>)
          return other && bitwise_equal(value, *other);
        else
          return other && value == *other;
      },
      a);
}

}  // namespace

Value ShardedGradients::sum_of(Value value) {
  const auto [known, is_new] = known_.emplace(key_of(value), Value());
  if (!is_new) return known->second;
  const Node& node = *value.node();
  Value sum;
  if (is_gradient_sum(value)) {
    sum = value;
  } else if (node.op_name() == "SlicesToDense") {
    sum = sum_of(node.input(1));
  } else if (node.op().elementwise) {
    for (size_t i = 0; i < node.inputs().size() && !sum.defined(); ++i)
      sum = sum_of(node.inputs()[i]);
  }
  return known_[key_of(value)] = sum;
}

std::vector<UpdatePart> ShardedGradients::cut(const Node& update, size_t part_bytes) {
  const auto count = static_cast<size_t>(num_updated(update));
  const auto& ids = update.attrs().get<std::vector<int64_t>>("variables");
  const auto decay = update.attrs().get_or<std::vector<double>>("weight_decay", {});
  const auto variable = [&](size_t i) -> const VariableState& {
    return *update.graph().variables()[static_cast<size_t>(ids[i])];
  };
  if (!update.op().by_element)
    throw Unimplemented(
        "{}: got {} of {} on devices of which each updates a part; want an optimizer that works "
        "element by element, or sharding kNone",
        update.name(), update.op_name(), variable(0).name());
  std::vector<size_t> order(count);
  std::vector<Value> sums;
  for (size_t i = 0; i < count; ++i) {
    order[i] = i;
    sums.push_back(sum_of(update.inputs()[i]));
    if (!sums.back().defined())
      throw Unimplemented(
          "{}: got a gradient of {} that is made by {}; want the sum over replicas, changed "
          "element by element at most, where each device updates a part (sharding)",
          update.name(), variable(i).name(), update.inputs()[i].node()->name());
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return readiness(sums[a]) < readiness(sums[b]); });
  using Kind = std::pair<double, DType>;
  std::map<Kind, std::pair<UpdatePart, size_t>> open;
  std::vector<UpdatePart> parts;
  for (const size_t i : order) {
    const Kind kind(decay.empty() ? 0 : decay[i], sums[i].dtype());
    auto& [part, bytes] = open[kind];
    part.weight_decay = kind.first;
    part.members.push_back(i);
    part.sums.push_back(sums[i]);
    bytes += variable(i).num_bytes();
    if (bytes < part_bytes) continue;
    parts.push_back(std::move(part));
    open.erase(kind);
  }
  for (auto& [kind, last] : open) parts.push_back(std::move(last.first));
  return parts;
}

bool do_the_same(const Node& a, const Node& b) {
  if (a.op_name() != b.op_name() || a.inputs().size() != b.inputs().size()) return false;
  const auto &x = a.attrs().entries(), &y = b.attrs().entries();
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [](const auto& p, const auto& q) {
    return p.first == q.first && are_equal(p.second, q.second);
  });
}

}  // namespace cohort::distribute
