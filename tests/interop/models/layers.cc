#include <map>

#include "tests/interop/models/config.h"

namespace cohort::interop {
namespace {

using nn::Layer;

Layer sequential(Config& config) {
  nn::SequentialOptions options;
  json layers;
  config.set("name", options.name);
  config.set("trainable", options.trainable);
  config.set("layers", layers);
  nn::Sequential model(options);
  for (const json& inner : layers) model.add(make(inner, layer_classes()));
  return model;
}

}  // namespace

const std::vector<Class<Layer>>& layer_classes() {
  static const std::vector<Class<Layer>> known{
      {"Dense", maker<Layer, nn::Dense>()},
      {"Embedding", maker<Layer, nn::Embedding>()},
      {"Masking", maker<Layer, nn::Masking>()},
      {"Conv2D", maker<Layer, nn::Conv2D>()},
      {"MaxPooling2D", maker<Layer, nn::MaxPooling2D>()},
      {"AveragePooling2D", maker<Layer, nn::AveragePooling2D>()},
      {"GlobalMaxPooling2D", maker<Layer, nn::GlobalMaxPooling2D>()},
      {"GlobalAveragePooling2D", maker<Layer, nn::GlobalAveragePooling2D>()},
      {"BatchNormalization", maker<Layer, nn::BatchNormalization>()},
      {"Activation", maker<Layer, nn::Activation>()},
      {"Flatten", maker<Layer, nn::Flatten>()},
      {"Reshape", maker<Layer, nn::Reshape>()},
      {"Rescaling", maker<Layer, nn::Rescaling>()},
      {"Dropout", maker<Layer, nn::Dropout>()},
      {"Concatenate", maker<Layer, nn::Concatenate>()},
      {"Add", maker<Layer, nn::Add>()},
      {"Sequential", sequential},
  };
  return known;
}

nn::Model model_of(const json& description) {
  std::map<std::string, nn::SymbolicTensor> tensors;
  std::vector<nn::SymbolicTensor> inputs, outputs;
  for (const json& input : description.at("inputs")) {
    Shape shape;
    for (const int64_t size : input.at("shape")) shape.push_back(size);
    const bool integers = input.at("dtype") == "int32";
    inputs.push_back(nn::Input(
        {.shape = shape, .dtype = integers ? DType::kI32 : DType::kF32, .name = input.at("name")}));
    tensors[input.at("name")] = inputs.back();
  }
  std::map<std::string, Layer> layers;
  for (const json& call : description.at("calls")) {
    const std::string name = call.at("layer");
    if (!layers.contains(name))
      layers[name] = make(description.at("layers").at(name), layer_classes());
    std::vector<nn::SymbolicTensor> arguments;
    for (const std::string input : call.at("inputs")) arguments.push_back(tensors.at(input));
    tensors[call.at("output")] = layers[name](arguments);
  }
  for (const std::string output : description.at("outputs")) outputs.push_back(tensors.at(output));
  return nn::Model({.inputs = inputs, .outputs = outputs});
}

}  // namespace cohort::interop
