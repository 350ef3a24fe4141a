#include "cohort/kernels/cpu/body_update.h"

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
      body_(request.node.attrs().get<std::shared_ptr<const Graph>>("body")),
      num_arrays_(1 + request.variables.size() / static_cast<size_t>(count())),
      element_bytes_(size_of(request.variables[0].dtype)) {
  pieces_.reserve(static_cast<size_t>(count()));
}

int64_t BodyUpdateKernel::num_elements() const {
  int64_t elements = 0;
  for (int i = 0; i < count(); ++i) elements += parameter(i).num_elements();
  return elements;
}

const std::vector<BodyUpdateKernel::Piece>& BodyUpdateKernel::find_pieces() {
  pieces_.clear();
  for (int i = 0; i < count(); ++i) {
    if (!pieces_.empty() && follows(pieces_.back(), i))
      pieces_.back().count += parameter(i).num_elements();
    else
      pieces_.push_back({i, parameter(i).num_elements()});
  }
  return pieces_;
}

bool BodyUpdateKernel::follows(const Piece& piece, int next) const {
  if (decay(piece.first) != decay(next)) return false;
  for (size_t k = 0; k < num_arrays_; ++k)
    if (begin_of(k, piece.first) + piece.count * static_cast<int64_t>(element_bytes_) !=
        begin_of(k, next))
      return false;
  return true;
}

std::byte* BodyUpdateKernel::begin_of(size_t array, int variable) const {
  const Operand& operand = array == 0   ? gradient(variable)
                           : array == 1 ? parameter(variable)
                                        : slot(static_cast<int>(array) - 2, variable);
  return operand.data<std::byte>();
}

}  // namespace cohort::cpu
