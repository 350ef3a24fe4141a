// Updates of variables with constraints, which look at whole variables: what the body of an update
// makes of one element is recorded for all of them at once, and assigned.
#include <map>

#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/optimizer.h"

namespace cohort::nn {
namespace {

/// What `body` makes of tensors in the place of its placeholders, in their order.
std::vector<Value> applied(const Graph& body, const std::vector<Value>& arguments) {
  std::map<const Node*, Value> made;
  for (size_t i = 0; i < body.placeholders().size(); ++i)
    made[body.placeholders()[i]] = arguments.at(i);
  const auto inputs_of = [&](const Node& node) {
    std::vector<Value> inputs;
    for (const Value& input : node.inputs()) inputs.push_back(made.at(input.node()));
    return inputs;
  };
  Graph& graph = arguments.front().graph();
  const Node* results = body.nodes().back().get();
  for (const auto& node : body.nodes())
    if (node.get() != results && !made.contains(node.get()))
      made[node.get()] = graph.add(node->op_name(), inputs_of(*node), node->attrs())->output();
  return inputs_of(*results);
}

Value constrained(const Variable& variable, Value value) {
  const Value held = (*variable.constraint())(value);
  if (!held.defined() || held.type() != value.type())
    throw InvalidArgument("constraint of {}: got {}; want {} {}", variable.path(),
                          held.defined() ? held.shape().to_string() : "nothing", value.dtype(),
                          value.shape());
  return held;
}

}  // namespace

void OptimizerImpl::update_whole(const ElementUpdate& element, const Group& group,
                                 const std::vector<SlotOptions>& names, Value apply) const {
  const std::shared_ptr<const Graph> body = element.finish();
  for (size_t i = 0; i < group.variables.size(); ++i) {
    const Variable& variable = group.variables[i];
    std::vector<ops::Variables> written{{variable.shared()}};
    for (const SlotOptions& name : names) written.push_back(slots(name.name, {variable}));
    std::vector<Value> arguments{group.gradients[i]};
    for (const ops::Variables& state : written)
      arguments.push_back(arguments.front().graph().read(state.front()));
    if (element.decays()) arguments.push_back(ops::scalar(group.weight_decay[i], DType::kF64));
    for (const Value& number : element.numbers()) arguments.push_back(number);
    const std::vector<Value> results = applied(*body, arguments);
    for (size_t k = 0; k < written.size(); ++k) {
      const Value now = ops::where(apply, results[k], arguments[1 + k]);
      ops::assign(written[k].front(), k == 0 ? constrained(variable, now) : now);
    }
  }
}

}  // namespace cohort::nn
