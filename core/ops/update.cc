#include "cohort/core/ops/update.h"

#include <array>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

constexpr int kGroupInputs = 3;  // of a dense update, the last: learning_rate, step, apply

template <Text kName>
Types infer_update(const InferContext& in) {
  want_inputs(in, 1 + kGroupInputs, kName.view());
  const int n = in.num_inputs() - kGroupInputs;
  const TensorType wanted[kGroupInputs] = {
      {DType::kF32, {}}, {DType::kI64, {}}, {DType::kBool, {}}};
  const char* names[] = {"learning_rate", "step", "apply"};
  for (int i = 0; i < kGroupInputs; ++i)
    if (in.input(n + i) != wanted[i])
      throw InvalidArgument("{}: got {} of {} {}; want a scalar of {}", kName.view(), names[i],
                            in.dtype(n + i), in.shape(n + i), wanted[i].dtype);
  for (int i = 0; i < n; ++i) want_floating(in, i, kName.view());
  return {};
}

void want_weight_decay(const std::vector<double>& decay, size_t n, std::string_view where) {
  if (!decay.empty() && decay.size() != n)
    throw InvalidArgument("{}: got {} weight decays for {} variables; want one for each, or none",
                          where, decay.size(), n);
}

}  // namespace

void want_gradients(const Variables& variables, std::span<const Value> gradients,
                    std::string_view where) {
  if (variables.empty() || gradients.size() != variables.size())
    throw InvalidArgument("{}: got {} gradients for {} variables; want one for each of at least 1",
                          where, gradients.size(), variables.size());
  for (size_t i = 0; i < variables.size(); ++i) {
    const VariableState& variable = *variables[i];
    if (gradients[i].dtype() != variable.dtype() || gradients[i].shape() != variable.shape())
      throw InvalidArgument("{}: got a gradient of {} {} for variable {}; want {} {}", where,
                            gradients[i].dtype(), gradients[i].shape(), variable.name(),
                            variable.dtype(), variable.shape());
    if (variable.dtype() != variables[0]->dtype())
      throw InvalidArgument("{}: got variables {} of {} and {} of {}; want one dtype", where,
                            variables[0]->name(), variables[0]->dtype(), variable.name(),
                            variable.dtype());
  }
}

void want_slots(const Variables& variables, const Variables& slots, bool used,
                std::string_view name, std::string_view where) {
  if (slots.size() != (used ? variables.size() : 0))
    throw InvalidArgument("{}: got {} slots {} for {} variables; want {}", where, slots.size(),
                          name, variables.size(), used ? variables.size() : 0);
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i]->dtype() != variables[i]->dtype() || slots[i]->shape() != variables[i]->shape())
      throw InvalidArgument("{}: got slot {} of {} {} for variable {}; want {} {}", where,
                            slots[i]->name(), slots[i]->dtype(), slots[i]->shape(),
                            variables[i]->name(), variables[i]->dtype(), variables[i]->shape());
}

Node* record_update(std::string_view op, std::span<const Variables* const> groups,
                    std::span<const Value> gradients, std::vector<Value> of_group, Attrs attrs) {
  Graph& graph = gradients.front().graph();
  std::vector<int64_t> ids;
  for (const Variables* group : groups)
    for (const auto& variable : *group) ids.push_back(graph.variable_id(variable));
  attrs.set("variables", ids);
  std::vector<Value> inputs(gradients.begin(), gradients.end());
  inputs.insert(inputs.end(), of_group.begin(), of_group.end());
  return record_node(op, std::move(inputs), std::move(attrs));
}

Node* sgd_update(const Variables& variables, const Variables& momentums,
                 std::span<const Value> gradients, Value learning_rate, Value step, Value apply,
                 SgdOptions options) {
  want_gradients(variables, gradients, "sgd_update");
  want_slots(variables, momentums, options.momentum != 0, "momentum", "sgd_update");
  want_weight_decay(options.weight_decay, variables.size(), "sgd_update");
  return record_update("SgdUpdate", std::array{&variables, &momentums}, gradients,
                       {learning_rate, step, apply},
                       {{"momentum", options.momentum},
                        {"nesterov", options.nesterov},
                        {"weight_decay", options.weight_decay}});
}

Node* adam_update(const Variables& variables, const Variables& m, const Variables& v,
                  const Variables& v_max, std::span<const Value> gradients, Value learning_rate,
                  Value step, Value apply, AdamOptions options) {
  want_gradients(variables, gradients, "adam_update");
  want_slots(variables, m, true, "m", "adam_update");
  want_slots(variables, v, true, "v", "adam_update");
  want_slots(variables, v_max, options.amsgrad, "v_max", "adam_update");
  want_weight_decay(options.weight_decay, variables.size(), "adam_update");
  return record_update("AdamUpdate", std::array{&variables, &m, &v, &v_max}, gradients,
                       {learning_rate, step, apply},
                       {{"beta_1", options.beta_1},
                        {"beta_2", options.beta_2},
                        {"epsilon", options.epsilon},
                        {"amsgrad", options.amsgrad},
                        {"weight_decay", options.weight_decay}});
}

void sgd_body(UpdateBody& body, Value learning_rate, const SgdOptions& options) {
  const Value change = body.gradient * learning_rate;
  if (options.momentum == 0) {
    body.parameter = body.parameter - change;
    return;
  }
  Value& m = body.slots[0];
  m = m * options.momentum - change;
  body.parameter = body.parameter + (options.nesterov ? m * options.momentum - change : m);
}

void adam_body(UpdateBody& body, Value alpha, const AdamOptions& options) {
  const Value g = body.gradient;
  Value &m = body.slots[0], &v = body.slots[1];
  m = fma(g - m, 1 - options.beta_1, m);
  v = fma(g * g - v, 1 - options.beta_2, v);
  Value second = v;
  if (options.amsgrad) second = body.slots[2] = maximum(body.slots[2], v);
  body.parameter = body.parameter - m * alpha / (sqrt(second) + options.epsilon);
}

Value adam_alpha(Value learning_rate, Value step, const AdamOptions& options) {
  const auto power = [&](double beta) { return pow(scalar(beta, DType::kF64), step); };
  return learning_rate * sqrt(1 - power(options.beta_2)) / (1 - power(options.beta_1));
}

void register_update(OpRegistry& ops) {
  ops.add({.name = "SgdUpdate",
           .num_inputs = -1,
           .infer = infer_update<"sgd_update">,
           .kind = OpKind::kUpdate,
           .group_inputs = kGroupInputs,
           .by_element = true});
  ops.add({.name = "AdamUpdate",
           .num_inputs = -1,
           .infer = infer_update<"adam_update">,
           .kind = OpKind::kUpdate,
           .group_inputs = kGroupInputs,
           .by_element = true});
}

}  // namespace cohort::ops
