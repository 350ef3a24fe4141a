#include "cohort/core/runtime/fusions.h"

namespace cohort {
namespace {

// A product, the addition of a bias [N] over its last axis, and perhaps an activation: one op that
// takes the bias as its last input and attribute "activation".

const Node& product_of(const Match& match) { return *match.nodes.back(); }

bool adds_bias(const Match& match) {
  const Node& product = product_of(match);
  const Node& add = *match.nodes[match.nodes.size() - 2];
  const TensorType& type = product.output_types()[0];
  const Value bias = match.values.front();
  return bias.rank() == 1 && bias.shape()[0] == type.shape[type.shape.rank() - 1] &&
         add.output_types()[0] == type && product.device() == add.device() &&
         product.device() == match.nodes.front()->device();
}

bool adds_bias_to_matrix(const Match& match) {
  const Node& product = product_of(match);
  return product.input(0).rank() == 2 && product.input(1).rank() == 2 && adds_bias(match);
}

Value make_biased(const Fusion& fusion, const Match& match, Rewriter& rewriter) {
  const Node& product = product_of(match);
  Attrs attrs = product.attrs();
  for (const auto& [name, value] : fusion.attrs.entries()) attrs.set(name, value);
  std::vector<Value> inputs = rewriter.mapped_inputs(product);
  inputs.push_back(rewriter[match.values.front()]);
  return rewriter.graph()
      .add_like(*match.nodes.front(), fusion.op, std::move(inputs), std::move(attrs))
      ->output();
}

void add_biased(std::vector<Fusion>& table) {
  struct Product {
    std::string_view op, fused;
    bool (*fits)(const Match&);
  };
  struct Activation {
    std::string_view op;  ///< empty: none
    std::string name;
  };
  for (const Product& product : {Product{"Conv2D", "FusedConv2D", adds_bias},
                                 Product{"MatMul", "FusedMatMul", adds_bias_to_matrix}})
    for (const Activation& activation : {Activation{"Relu", "relu"}, Activation{"", ""}})
      for (const bool left : {true, false}) {
        const Pattern made{.op = product.op};
        const Pattern sum{
            .op = "Add",
            .inputs = left ? std::vector{made, Pattern{}} : std::vector{Pattern{}, made}};
        table.push_back(
            {.pattern = activation.op.empty() ? sum : Pattern{.op = activation.op, .inputs = {sum}},
             .op = product.fused,
             .attrs = {{"activation", activation.name}},
             .fits = product.fits,
             .make = make_biased});
      }
}

// relu_grad(max_pool_grad(dy, where), y) with (p, where) = max_pool(y) becomes
// max_pool_grad(relu_grad(dy, p), where): the same numbers, because a gradient lands only where y
// is p; and the mask is applied to the pooled tensor, several times smaller.

// Where windows overlap an element may be the largest of several; each is masked alike, so only the
// sum's order would differ. Left alone to keep bits.
bool windows_are_disjoint(const Node& pool) {
  const auto& size = pool.attrs().get<std::vector<int64_t>>("pool_size");
  const auto& strides = pool.attrs().get<std::vector<int64_t>>("strides");
  return strides[0] >= size[0] && strides[1] >= size[1];
}

bool masks_what_was_pooled(const Match& match) {
  const Node &mask = *match.nodes[0], &unpool = *match.nodes[1], &pool = *match.nodes[2];
  return unpool.input(1).index() == 1 && pool.input(0) == mask.input(1) &&
         windows_are_disjoint(pool);
}

Value mask_before_pooling(const Fusion&, const Match& match, Rewriter& rewriter) {
  const Node &mask = *match.nodes[0], &unpool = *match.nodes[1];
  const Value pooled(const_cast<Node*>(match.nodes[2]), 0);
  Graph& graph = rewriter.graph();
  Node* masked = graph.copy_node(mask, {rewriter[unpool.input(0)], rewriter[pooled]}, mask.attrs());
  return graph.copy_node(unpool, {masked->output(), rewriter[unpool.input(1)]}, unpool.attrs())
      ->output();
}

// The sum over all places of max_pool_grad(dy, where), which is the gradient of a convolution's
// bias, is the sum over all places of dy, several times smaller: each dy lands in one place.

bool sums_all_places(const Match& match) {
  const auto& axes = match.nodes[0]->attrs().get<std::vector<int64_t>>("axis");
  return axes == std::vector<int64_t>{0, 1, 2};
}

Value sum_before_pooling(const Fusion&, const Match& match, Rewriter& rewriter) {
  const Node& sum = *match.nodes[0];
  const Node& unpool = *rewriter[sum.input(0)].node();  // as it is by now: masked, perhaps
  return rewriter.graph().copy_node(sum, {unpool.input(0)}, sum.attrs())->output();
}

std::vector<Fusion> make_table() {
  std::vector<Fusion> table;
  add_biased(table);
  table.push_back({.pattern = {.op = "ReluGrad",
                               .inputs = {{.op = "MaxPool2DGrad",
                                           .inputs = {{}, {.op = "MaxPool2D", .stays = true}}},
                                          {}}},
                   .op = "MaxPool2DGrad",
                   .fits = masks_what_was_pooled,
                   .make = mask_before_pooling});
  table.push_back(
      {.pattern = {.op = "ReduceSum", .inputs = {{.op = "MaxPool2DGrad", .stays = true}}},
       .op = "ReduceSum",
       .fits = sums_all_places,
       .make = sum_before_pooling});
  return table;
}

}  // namespace

const std::vector<Fusion>& fusions() {
  static const std::vector<Fusion> table = make_table();
  return table;
}

}  // namespace cohort
