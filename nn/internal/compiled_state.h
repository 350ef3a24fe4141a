#pragma once

#include <map>
#include <utility>
#include <vector>

#include "cohort/nn/layer.h"

/// What compile() fixes about a model's layers. Steps are traced later, when somebody may have
/// frozen some of them for another model.
namespace cohort::nn::internal {

class CompiledState {
 public:
  /// That of `model`, the layers inside it and their weights, now.
  explicit CompiledState(const LayerImpl& model) { add(model); }

  /// Whether a layer or weight was trainable; `now` for those that came later.
  bool trainable(const void* layer_or_weight, bool now) const;
  /// False once layers were added to, or taken from, a Sequential of a model that still lives.
  bool holds() const;

 private:
  void add(const LayerImpl& layer);

  std::map<const void*, bool> trainable_;
  /// Layers before those inside them, which live as long as those around have their versions.
  std::vector<std::pair<const LayerImpl*, int64_t>> structure_versions_;
};

/// While it lives, layers and weights are trainable on this thread as they were when compiled.
class CompiledScope {
 public:
  explicit CompiledScope(const CompiledState& state);
  ~CompiledScope();
  CompiledScope(const CompiledScope&) = delete;
  CompiledScope& operator=(const CompiledScope&) = delete;

 private:
  const CompiledState* outer_;
};

/// Whether a layer or weight whose own flag is `now` is trainable in the innermost scope.
bool trainable_in_scope(const void* layer_or_weight, bool now);
bool trainable_in_scope(const Variable& weight);

}  // namespace cohort::nn::internal
