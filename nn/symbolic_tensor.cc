#include "cohort/nn/symbolic_tensor.h"

#include "cohort/core/ops/math.h"
#include "cohort/nn/internal/input_layer.h"
#include "cohort/nn/layer.h"

namespace cohort::nn {

const LayerCall& SymbolicTensor::call() const {
  if (!call_)
    throw FailedPrecondition(
        "symbolic tensor: got an empty one; want the result of Input or of a layer");
  return *call_;
}

const TensorType& SymbolicTensor::type() const {
  return call().outputs[static_cast<size_t>(index_)];
}
Layer SymbolicTensor::layer() const { return call().layer; }

SymbolicTensor::operator Layer() const {
  if (!call().inputs.empty())
    throw InvalidArgument("{}: got the result of a call where a layer is wanted; pass the layer",
                          layer().name());
  return layer();
}

InputLayerImpl::InputLayerImpl(InputOptions options)
    : LayerImpl("InputLayer", {.name = std::move(options.name)}),
      type_{options.dtype, Shape{batch_dim()} + options.shape} {}

std::vector<Value> InputLayerImpl::call(const CallArgs& args) { return {convert(args.input())}; }

Value InputLayerImpl::convert(Value x) const {
  const Shape& got = x.shape();
  bool fits = got.rank() == type_.shape.rank();
  for (int axis = 1; fits && axis < got.rank(); ++axis) fits = got[axis] == type_.shape[axis];
  if (!fits) throw InvalidArgument("{}: got input {}; want {}", name(), got, type_.shape);
  return x.dtype() == type_.dtype ? x : ops::cast(x, type_.dtype);
}

SymbolicTensor Input(InputOptions options) {
  const auto layer = std::make_shared<InputLayerImpl>(std::move(options));
  layer->build_for({layer->type()});
  return layer->symbol();
}

SymbolicTensor InputLayerImpl::symbol() const {
  auto call = std::make_shared<LayerCall>();
  call->layer = Layer(std::const_pointer_cast<LayerImpl>(shared_from_this()));
  call->outputs = {type_};
  return SymbolicTensor(call, 0);
}

}  // namespace cohort::nn
