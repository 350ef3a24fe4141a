#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/passes.h"

namespace cohort {
namespace {

/// matmul or conv2d, then an addition of a bias [N] over the last axis, then perhaps a relu; each
/// of the inner values used by the next alone.
struct BiasPattern {
  const Node* product = nullptr;
  Value bias;
  const Node* last = nullptr;  ///< the node that the fused one replaces
  bool relu = false;
};

class Fuser {
 public:
  explicit Fuser(const GraphFunction& function)
      : function_(function),
        uses_(count_uses(*function.graph, function.fetches)),
        rewriter_(*function.graph, function.fetches) {}

  GraphFunction run() {
    find_patterns();
    for (const Node* node : rewriter_.nodes()) {
      if (absorbed_.count(node)) continue;
      if (mask_before_pooling(*node) || sum_before_pooling(*node)) continue;
      const auto it = patterns_.find(node);
      if (it == patterns_.end()) {
        rewriter_.copy(*node);
      } else {
        emit(it->second);
      }
    }
    return rewriter_.finish();
  }

 private:
  bool used_once(Value value) const { return uses_[value.node()->id()][value.index()] == 1; }

  static bool is_product(const Node& node) {
    if (node.op_name() == "Conv2D") return true;
    return node.op_name() == "MatMul" && node.input(0).rank() == 2 && node.input(1).rank() == 2;
  }

  void find_patterns() {
    for (const Node* node : rewriter_.nodes()) {
      if (node->op_name() == "Add") {
        add_bias(*node, 0, 1);
        if (!patterns_.count(node)) add_bias(*node, 1, 0);
      } else if (node->op_name() == "Relu") {
        add_relu(*node);
      }
    }
  }

  void add_bias(const Node& add, int product, int bias) {
    const Value value = add.input(product), shift = add.input(bias);
    const Node& maker = *value.node();
    const bool fits = is_product(maker) && used_once(value) && shift.rank() == 1 &&
                      shift.shape()[0] == value.shape()[value.rank() - 1] &&
                      maker.device() == add.device() &&
                      // The bias must exist where the product is made: both precede `add`.
                      add.output_types()[0] == value.type() && !absorbed_.count(&maker);
    if (!fits) return;
    patterns_[&add] = {&maker, shift, &add, false};
    absorbed_.insert({&maker, true});
  }

  void add_relu(const Node& relu) {
    const auto it = patterns_.find(relu.input(0).node());
    if (it == patterns_.end() || !used_once(relu.input(0)) || relu.device() != it->first->device())
      return;
    BiasPattern pattern = it->second;
    pattern.relu = true;
    pattern.last = &relu;
    absorbed_.insert({it->first, true});
    patterns_.erase(it);
    patterns_[&relu] = pattern;
  }

  /// relu_grad(max_pool_grad(dy, where), y) with (p, where) = max_pool(y) becomes
  /// max_pool_grad(relu_grad(dy, p), where): the same numbers, because a gradient lands only where
  /// y is p; and the mask is applied to the pooled tensor, several times smaller.
  bool mask_before_pooling(const Node& node) {
    if (node.op_name() != "ReluGrad" || node.input(0).node()->op_name() != "MaxPool2DGrad")
      return false;
    const Node& unpool = *node.input(0).node();
    const Node& pool = *unpool.input(1).node();
    const bool fits = pool.op_name() == "MaxPool2D" && unpool.input(1).index() == 1 &&
                      pool.input(0) == node.input(1) && used_once(node.input(0)) &&
                      windows_are_disjoint(pool);
    if (!fits) return false;
    Graph& graph = rewriter_.graph();
    const Value masked =
        graph
            .add("ReluGrad",
                 {rewriter_[unpool.input(0)], rewriter_[Value(const_cast<Node*>(&pool), 0)]}, {},
                 {.name = node.name()})
            ->output();
    masked.node()->set_device(node.device());
    Node* moved = graph.copy_node(unpool, {masked, rewriter_[unpool.input(1)]}, unpool.attrs());
    rewriter_.replace(Value(const_cast<Node*>(&node), 0), moved->output());
    return true;
  }

  /// The sum over all places of max_pool_grad(dy, where), which is the gradient of a convolution's
  /// bias, is the sum over all places of dy, several times smaller: each dy lands in one place.
  bool sum_before_pooling(const Node& node) {
    if (node.op_name() != "ReduceSum") return false;
    const Node& unpool = *rewriter_[node.input(0)].node();  // as it is by now: masked, perhaps
    const auto& axes = node.attrs().get<std::vector<int64_t>>("axis");
    if (unpool.op_name() != "MaxPool2DGrad" || axes != std::vector<int64_t>{0, 1, 2}) return false;
    Node* sum = rewriter_.graph().copy_node(node, {unpool.input(0)}, node.attrs());
    rewriter_.replace(Value(const_cast<Node*>(&node), 0), sum->output());
    return true;
  }

  /// Where windows overlap an element may be the largest of several; each is masked alike, so only
  /// the sum's order would differ. Left alone to keep bits.
  static bool windows_are_disjoint(const Node& pool) {
    const auto& size = pool.attrs().get<std::vector<int64_t>>("pool_size");
    const auto& strides = pool.attrs().get<std::vector<int64_t>>("strides");
    return strides[0] >= size[0] && strides[1] >= size[1];
  }

  void emit(const BiasPattern& pattern) {
    Attrs attrs = pattern.product->attrs();
    attrs.set("activation", std::string(pattern.relu ? "relu" : ""));
    std::vector<Value> inputs = rewriter_.mapped_inputs(*pattern.product);
    inputs.push_back(rewriter_[pattern.bias]);
    Node* fused = rewriter_.graph().add(
        pattern.product->op_name() == "Conv2D" ? "FusedConv2D" : "FusedMatMul", std::move(inputs),
        std::move(attrs), {.name = pattern.last->name(), .control_inputs = {}});
    fused->set_device(pattern.last->device());
    rewriter_.replace(Value(const_cast<Node*>(pattern.last), 0), fused->output());
  }

  const GraphFunction& function_;
  std::vector<std::vector<int>> uses_;
  Rewriter rewriter_;
  std::unordered_map<const Node*, BiasPattern> patterns_;
  std::unordered_map<const Node*, bool> absorbed_;
};

}  // namespace

GraphFunction fuse(const GraphFunction& function) { return Fuser(function).run(); }

}  // namespace cohort
