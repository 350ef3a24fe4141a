#include "cohort/core/ops/update_body.h"

#include <set>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/update.h"

namespace cohort::ops {
namespace {

constexpr int kBodyInputs = 2;  // behind the gradients: numbers, apply

bool is_number(const Node& node) {
  return node.op().source == Source::kConstant ||
         (node.inputs().empty() && node.op().uniform_value != nullptr);
}

/// What depends on an element.
std::set<const Node*> walking(const Graph& body, size_t num_arrays) {
  std::set<const Node*> found;
  for (size_t i = 0; i < num_arrays; ++i) found.insert(body.placeholders()[i]);
  for (const auto& node : body.nodes())
    for (const Value& input : node->inputs())
      if (found.contains(input.node())) found.insert(node.get());
  return found;
}

/// The inputs behind n gradients: numbers, apply.
void want_body_inputs(const InferContext& in, int n, std::string_view where) {
  if (in.dtype(n) != DType::kF64 || in.shape(n).rank() != 1)
    throw InvalidArgument("{}: got numbers {} {}; want float64 [K]", where, in.dtype(n),
                          in.shape(n));
  if (in.input(n + 1) != TensorType{DType::kBool, {}})
    throw InvalidArgument("{}: got apply of {} {}; want a scalar of bool", where, in.dtype(n + 1),
                          in.shape(n + 1));
}

Types infer_elementwise_update(const InferContext& in) {
  want_inputs(in, 1 + kBodyInputs, "elementwise_update");
  const int n = in.num_inputs() - kBodyInputs;
  for (int i = 0; i < n; ++i) want_floating(in, i, "elementwise_update");
  want_body_inputs(in, n, "elementwise_update");
  return {};
}

Types infer_rows_update(const InferContext& in) {
  want_dtype(in, 0, DType::kI32, "rows_update");
  want_floating(in, 1, "rows_update");
  if (in.shape(0).rank() != 1 || in.shape(1).rank() < 1 || in.shape(1)[0] != in.shape(0)[0])
    throw InvalidArgument("rows_update: got indices {}, values {}; want [M] and [M, ...]",
                          in.shape(0), in.shape(1));
  want_body_inputs(in, 2, "rows_update");
  return {};
}

Types infer_tuple(const InferContext& in) {
  Types types;
  for (int i = 0; i < in.num_inputs(); ++i) types.push_back(in.input(i));
  return types;
}

/// One vector of all: a kernel takes one input for them, however many a body has.
Value packed(const std::vector<Value>& numbers) {
  if (numbers.empty()) return constant(Tensor(DType::kF64, Shape{1}));
  std::vector<Value> rows;
  for (const Value& number : numbers) rows.push_back(reshape(number, Shape{1}));
  return rows.size() == 1 ? rows[0] : concat(rows, 0);
}

}  // namespace

UpdateBody::UpdateBody(std::string name, DType dtype, size_t num_slots, const OpRegistry& ops)
    : name_(std::move(name)),
      dtype_(dtype),
      computed_in_(size_of(dtype) == 2 ? DType::kF32 : dtype),
      graph_(std::make_shared<Graph>(ops)) {
  if (!is_floating(dtype))
    throw InvalidArgument("{}: got variables of {}; want a floating dtype", name_, dtype);
  gradient = element("gradient");
  parameter = element("parameter");
  for (size_t i = 0; i < num_slots; ++i) slots.push_back(element(fmt::format("slot_{}", i)));
  for (Value* value : {&gradient, &parameter}) *value = cast(*value, computed_in_);
  for (Value& slot : slots) slot = cast(slot, computed_in_);
}

Value UpdateBody::element(const std::string& name) {
  return graph_->placeholder(name, {dtype_, {}});
}

Value UpdateBody::number(Value of_step) {
  if (of_step.dtype() != DType::kF64 || of_step.rank() != 0)
    throw InvalidArgument("{}: got a number {} {} for the body of an update; want float64 []",
                          name_, of_step.dtype(), of_step.shape());
  numbers_.push_back(of_step);
  return cast(graph_->placeholder("number", {DType::kF64, {}}), computed_in_);
}

void UpdateBody::decay(Value rate) {
  COHORT_CHECK(numbers_.empty() && !decays_);
  decays_ = true;
  const Value weight_decay = graph_->placeholder("weight_decay", {DType::kF64, {}});
  numbers_.push_back(rate);
  const Value share = weight_decay * graph_->placeholder("number", {DType::kF64, {}});
  parameter = parameter - parameter * cast(share, computed_in_);
}

void UpdateBody::check_result(Value result, const std::string& what) const {
  if (!result.defined() || &result.graph() != graph_.get())
    throw InvalidArgument(
        "{}: got a value of another graph for what the {} becomes; want one made "
        "of the body's own (number() brings in others)",
        name_, what);
  if (result.type() != TensorType{computed_in_, {}})
    throw InvalidArgument("{}: got {} {} for what the {} becomes; want {} []", name_,
                          result.dtype(), result.shape(), what, computed_in_);
  if (!walking(*graph_, 2 + slots.size()).contains(result.node()))
    throw InvalidArgument(
        "{}: got one number for what every {} becomes; want a function of the "
        "element",
        name_, what);
}

std::shared_ptr<const Graph> UpdateBody::finish() const {
  for (const auto& node : graph_->nodes())
    if (node->op().source != Source::kInput && !node->op().elementwise && !is_number(*node))
      throw InvalidArgument(
          "{}: got {} in the body of an update; want elementwise ops: what looks at more than one "
          "element is done to gradients before the update",
          name_, node->op_name());
  check_result(parameter, "parameter");
  std::vector<Value> results{cast(parameter, dtype_)};
  for (size_t i = 0; i < slots.size(); ++i) {
    check_result(slots[i], fmt::format("slot {}", i));
    results.push_back(cast(slots[i], dtype_));
  }
  graph_->add("Tuple", std::move(results));
  return graph_;
}

namespace {

/// Checks what an update of `variables` by a body takes besides gradients.
void want_body(const UpdateBody& body, const Variables& variables,
               const std::vector<Variables>& slots, const std::vector<double>& weight_decay) {
  if (body.dtype() != variables[0]->dtype() || body.slots.size() != slots.size())
    throw InvalidArgument(
        "{}: got a body of {} with {} slots for variable {} of {} with {}; want "
        "the same",
        body.name(), body.dtype(), body.slots.size(), variables[0]->name(), variables[0]->dtype(),
        slots.size());
  for (size_t k = 0; k < slots.size(); ++k)
    want_slots(variables, slots[k], true, fmt::format("{}", k), body.name());
  if (weight_decay.size() != (body.decays() ? variables.size() : 0))
    throw InvalidArgument("{}: got {} weight decays for {} variables; want {}", body.name(),
                          weight_decay.size(), variables.size(),
                          body.decays() ? "one for each" : "none");
}

Attrs attrs_of(const UpdateBody& body, const std::vector<double>& weight_decay) {
  return {{"body", body.finish()}, {"update", body.name()}, {"weight_decay", weight_decay}};
}

}  // namespace

Node* elementwise_update(const UpdateBody& body, const Variables& variables,
                         const std::vector<Variables>& slots, std::span<const Value> gradients,
                         Value apply, const std::vector<double>& weight_decay) {
  want_gradients(variables, gradients, body.name());
  want_body(body, variables, slots, weight_decay);
  std::vector<const Variables*> groups{&variables};
  for (const Variables& slot : slots) groups.push_back(&slot);
  return record_update("ElementwiseUpdate", groups, gradients, {packed(body.numbers()), apply},
                       attrs_of(body, weight_decay));
}

Node* rows_update(const UpdateBody& body, const std::shared_ptr<VariableState>& variable,
                  const Variables& slots, const Slices& gradient, Value apply, OtherRows others,
                  const std::vector<double>& weight_decay) {
  if (gradient.dense_shape != variable->shape() || gradient.values.dtype() != variable->dtype())
    throw InvalidArgument("{}: got slices of {} {} for variable {}; want {} {}", body.name(),
                          gradient.values.dtype(), gradient.dense_shape, variable->name(),
                          variable->dtype(), variable->shape());
  std::vector<Variables> slots_of_one;
  for (const auto& slot : slots) slots_of_one.push_back({slot});
  want_body(body, {variable}, slots_of_one, weight_decay);
  const Slices rows = is_combined(gradient) ? gradient : combine_slices(gradient);
  Graph& graph = rows.values.graph();
  std::vector<int64_t> ids{graph.variable_id(variable)};
  for (const auto& slot : slots) ids.push_back(graph.variable_id(slot));
  Attrs attrs = attrs_of(body, weight_decay);
  attrs.set("variables", ids);
  attrs.set("stay", others == OtherRows::kStay);
  return record_node("RowsUpdate", {rows.indices, rows.values, packed(body.numbers()), apply},
                     std::move(attrs));
}

void register_update_body(OpRegistry& ops) {
  ops.add({.name = "Tuple", .num_inputs = -1, .infer = infer_tuple});
  ops.add({.name = "ElementwiseUpdate",
           .num_inputs = -1,
           .infer = infer_elementwise_update,
           .kind = OpKind::kUpdate,
           .group_inputs = kBodyInputs,
           .by_element = true});
  ops.add({.name = "RowsUpdate",
           .num_inputs = 2 + kBodyInputs,
           .infer = infer_rows_update,
           .kind = OpKind::kUpdate});
}

}  // namespace cohort::ops
