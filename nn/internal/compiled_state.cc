#include "cohort/nn/internal/compiled_state.h"

#include <algorithm>

namespace cohort::nn::internal {
namespace {

const CompiledState*& innermost_state() {
  thread_local const CompiledState* state = nullptr;
  return state;
}

}  // namespace

void CompiledState::add(const LayerImpl& layer) {
  if (!trainable_.emplace(&layer, layer.trainable()).second) return;
  structure_versions_.emplace_back(&layer, layer.structure_version());
  for (const Variable& weight : layer.own_weights())
    trainable_.emplace(&weight.impl(), weight.trainable());
  for (const auto& [name, inner] : layer.children()) add(inner.impl());
}

bool CompiledState::trainable(const void* layer_or_weight, bool now) const {
  const auto known = trainable_.find(layer_or_weight);
  return known == trainable_.end() ? now : known->second;
}

bool CompiledState::holds() const {
  return std::all_of(structure_versions_.begin(), structure_versions_.end(), [](const auto& seen) {
    return seen.first->structure_version() == seen.second;
  });
}

CompiledScope::CompiledScope(const CompiledState& state) : outer_(innermost_state()) {
  innermost_state() = &state;
}

CompiledScope::~CompiledScope() { innermost_state() = outer_; }

bool trainable_in_scope(const void* layer_or_weight, bool now) {
  const CompiledState* state = innermost_state();
  return state ? state->trainable(layer_or_weight, now) : now;
}

bool trainable_in_scope(const Variable& weight) {
  return trainable_in_scope(&weight.impl(), weight.trainable());
}

}  // namespace cohort::nn::internal
