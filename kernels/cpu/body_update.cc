#include "cohort/kernels/cpu/body_update.h"

#include <algorithm>

namespace cohort::cpu {
namespace {

size_t id_of(const Node& node) { return static_cast<size_t>(node.id()); }

}  // namespace

std::vector<bool> made_of_elements(const Graph& body, size_t num_arrays) {
  std::vector<bool> found(body.nodes().size(), false);
  for (size_t i = 0; i < num_arrays; ++i) found[id_of(*body.placeholders()[i])] = true;
  for (const auto& node : body.nodes())
    for (const Value& input : node->inputs())
      if (found[id_of(*input.node())]) found[id_of(*node)] = true;
  return found;
}

BodyNumbers::BodyNumbers(const KernelRequest& request, const Graph& body, size_t num_arrays,
                         bool decays, Device& device)
    : operands_(body.nodes().size()), slots_(operands_.size()), memory_(operands_.size()) {
  const auto& placeholders = body.placeholders();
  if (decays) weight_decay_ = &slots_[id_of(*placeholders[num_arrays])];
  for (size_t i = num_arrays + (decays ? 1 : 0); i < placeholders.size(); ++i)
    given_.push_back(&slots_[id_of(*placeholders[i])]);
  const std::vector<bool> elements = made_of_elements(body, num_arrays);
  for (const auto& node : body.nodes())
    if (!elements[id_of(*node)]) add(request, *node, device);
}

void BodyNumbers::add(const KernelRequest& request, const Node& node, Device& device) {
  const size_t id = id_of(node);
  operands_[id] = {node.output_types()[0].dtype, {}, &slots_[id], nullptr};
  if (node.op().source == Source::kInput) return;
  if (node.op().source == Source::kConstant) {
    slots_[id] = const_cast<void*>(node.attrs().get<Tensor>("value").raw());
    return;
  }
  slots_[id] = &memory_[id];
  std::vector<Operand> inputs;
  for (const Value& input : node.inputs()) inputs.push_back(operands_[id_of(*input.node())]);
  kernels_.push_back(request.kernels->make({.node = node,
                                            .inputs = inputs,
                                            .outputs = std::span(&operands_[id], 1),
                                            .variables = {},
                                            .workspace = request.workspace,
                                            .step = request.step,
                                            .device = device}));
  if (!node.inputs().empty()) return;  // else it is the same at all times
  kernels_.back()->run();
  kernels_.pop_back();
}

void BodyNumbers::compute(const double* numbers, double& weight_decay) {
  for (size_t i = 0; i < given_.size(); ++i) *given_[i] = const_cast<double*>(numbers + i);
  if (weight_decay_) *weight_decay_ = &weight_decay;
  for (const auto& kernel : kernels_) kernel->run();
}

BodyUpdateKernel::BodyUpdateKernel(const KernelRequest& request)
    : UpdateKernel(request),
      body_(request.node.attrs().get<std::shared_ptr<const Graph>>("body")) {}

size_t BodyUpdateKernel::num_lanes(int64_t ops, int64_t tile) const {
  const int64_t elements = num_elements();
  if (elements < grain_for(ops, static_cast<int64_t>(2 * num_arrays() * element_bytes()))) return 1;
  return static_cast<size_t>(std::clamp<int64_t>(elements / tile, 1, int64_t{threads()}));
}

}  // namespace cohort::cpu
