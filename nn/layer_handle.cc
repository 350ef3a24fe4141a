#include <algorithm>

#include "cohort/core/graph/serialize.h"
#include "cohort/nn/internal/compiled_state.h"
#include "cohort/nn/layer.h"

namespace cohort::nn {
namespace {

template <class T>
T only(const Layer& layer, const std::vector<T>& outputs) {
  if (outputs.size() != 1)
    throw InvalidArgument("{}: got {} outputs from one call; want one: use call() for several",
                          layer.name(), outputs.size());
  return outputs.front();
}

void add_once(const Variable& weight, std::vector<Variable>& found) {
  if (std::find(found.begin(), found.end(), weight) == found.end()) found.push_back(weight);
}

// Keras' order: within a layer its trainable weights, then its other ones, then the layers inside.
void collect(const LayerImpl& layer, std::vector<Variable>& found) {
  for (const bool created_trainable : {true, false})
    for (const Variable& weight : layer.own_weights())
      if (internal::trainable_in_scope(weight) == created_trainable) add_once(weight, found);
  for (const auto& [name, inner] : layer.children()) collect(inner.impl(), found);
}

// A weight that was made trainable counts so where its layer and those around it are trainable, in
// one of the ways to it.
void collect_trainable(const LayerImpl& layer, std::vector<Variable>& found) {
  if (!layer.trainable()) return;
  for (const Variable& weight : layer.own_weights())
    if (internal::trainable_in_scope(weight)) add_once(weight, found);
  for (const auto& [name, inner] : layer.children()) collect_trainable(inner.impl(), found);
}

}  // namespace

Value Layer::operator()(Value input, CallOptions options) const {
  return only(*this, call(std::vector<Value>{input}, std::move(options)));
}
Value Layer::operator()(const std::vector<Value>& inputs, CallOptions options) const {
  return only(*this, call(inputs, std::move(options)));
}
std::vector<Value> Layer::call(const std::vector<Value>& inputs, CallOptions options) const {
  return impl().apply(inputs, options);
}
SymbolicTensor Layer::operator()(const SymbolicTensor& input,
                                 const SymbolicCallOptions& options) const {
  return only(*this, call(std::vector<SymbolicTensor>{input}, options));
}
SymbolicTensor Layer::operator()(const std::vector<SymbolicTensor>& inputs,
                                 const SymbolicCallOptions& options) const {
  return only(*this, call(inputs, options));
}
std::vector<SymbolicTensor> Layer::call(const std::vector<SymbolicTensor>& inputs,
                                        const SymbolicCallOptions& options) const {
  return impl().apply_symbolic(inputs, options);
}

void Layer::build(const std::vector<TensorType>& inputs) const {
  if (!built()) impl().build_for(inputs);
}

const std::string& Layer::name() const { return impl().name(); }
bool Layer::built() const { return impl().built(); }
bool Layer::trainable() const { return impl().trainable(); }
void Layer::set_trainable(bool trainable) const { impl().set_trainable(trainable); }

std::vector<Variable> Layer::weights() const {
  std::vector<Variable> found;
  collect(impl(), found);
  return found;
}
std::vector<Variable> Layer::trainable_weights() const {
  std::vector<Variable> found;
  collect_trainable(impl(), found);
  return found;
}
std::vector<Variable> Layer::non_trainable_weights() const {
  const std::vector<Variable> trainable = trainable_weights();
  std::vector<Variable> found = weights();
  std::erase_if(found, [&](const Variable& weight) {
    return std::find(trainable.begin(), trainable.end(), weight) != trainable.end();
  });
  return found;
}

int64_t Layer::count_params() const {
  int64_t count = 0;
  for (const Variable& weight : weights()) count += weight.shape().num_elements();
  return count;
}

std::vector<Tensor> Layer::get_weights() const {
  std::vector<Tensor> values;
  for (const Variable& weight : weights()) values.push_back(weight.value());
  return values;
}

std::string Layer::fingerprint() const {
  return wire::hash128(serialize_tensors(get_weights())).to_string();
}

void Layer::set_weights(const std::vector<Tensor>& values) const {
  const std::vector<Variable> all = weights();
  if (values.size() != all.size())
    throw InvalidArgument("{}: set_weights: got {} values; want {}", name(), values.size(),
                          all.size());
  for (size_t i = 0; i < all.size(); ++i)
    if (values[i].dtype() != all[i].dtype() || values[i].shape() != all[i].shape())
      throw InvalidArgument("{}: set_weights: {}: got {} {}; want {} {}", name(), all[i].path(),
                            values[i].dtype(), values[i].shape(), all[i].dtype(), all[i].shape());
  for (size_t i = 0; i < all.size(); ++i) all[i].assign(values[i]);
}

}  // namespace cohort::nn
