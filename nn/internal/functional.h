#pragma once

#include "cohort/nn/model_impl.h"

namespace cohort::nn::internal {

/// A model described by calls of layers on symbolic tensors.
class FunctionalImpl : public ModelImpl {
 public:
  explicit FunctionalImpl(ModelOptions options);

  std::vector<Value> call(const CallArgs& args) override;
  int num_inputs() const override { return static_cast<int>(inputs_.size()); }
  bool counts_children_by_class() const override { return true; }
  std::vector<std::string> output_names() const override;
  std::vector<SymbolicTensor> symbolic_inputs() const override { return inputs_; }
  std::vector<SymbolicTensor> symbolic_outputs() const override { return outputs_; }

  /// Inputs before users, deeper calls first, as Keras orders layers.
  const std::vector<std::shared_ptr<const LayerCall>>& calls() const { return calls_; }

 protected:
  bool casts_inputs() const override { return false; }

 private:
  std::vector<SymbolicTensor> inputs_, outputs_;
  std::vector<std::shared_ptr<const LayerCall>> calls_;
};

class SequentialImpl : public ModelImpl {
 public:
  explicit SequentialImpl(const SequentialOptions& options);

  void add(const Layer& layer);
  void pop();
  std::vector<Value> call(const CallArgs& args) override;
  bool counts_children_by_class() const override { return true; }
  std::vector<std::string> output_names() const override;
  std::vector<SymbolicTensor> symbolic_inputs() const override;
  std::vector<SymbolicTensor> symbolic_outputs() const override;

 protected:
  bool casts_inputs() const override { return false; }

 private:
  void build_if_input_is_known();
  void extend_chain();

  /// What each layer gives, where the first one is an Input.
  std::vector<SymbolicTensor> chain_;
};

}  // namespace cohort::nn::internal
