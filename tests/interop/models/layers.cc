#include <map>

#include "tests/interop/models/config.h"

namespace cohort::interop {
namespace {

using nn::Layer;

/// A layer: `fields`, and those that every layer has.
template <class Made, class Options, class... Fields>
Maker<Layer> layer(Options defaults, std::pair<const char*, Fields>... fields) {
  return maker<Layer, Made>(defaults, std::pair("name", &Options::name),
                            std::pair("trainable", &Options::trainable), fields...);
}

Maker<Layer> dense() {
  using O = nn::DenseOptions;
  return layer<nn::Dense>(
      O{.units = 0}, std::pair("units", &O::units), std::pair("activation", &O::activation),
      std::pair("use_bias", &O::use_bias), std::pair("kernel_regularizer", &O::kernel_regularizer),
      std::pair("bias_regularizer", &O::bias_regularizer),
      std::pair("activity_regularizer", &O::activity_regularizer));
}

Maker<Layer> embedding() {
  using O = nn::EmbeddingOptions;
  return layer<nn::Embedding>(O{.input_dim = 0, .output_dim = 0},
                              std::pair("input_dim", &O::input_dim),
                              std::pair("output_dim", &O::output_dim),
                              std::pair("embeddings_regularizer", &O::embeddings_regularizer));
}

Maker<Layer> conv2d() {
  using O = nn::Conv2DOptions;
  return layer<nn::Conv2D>(
      O{.filters = 0, .kernel_size = 0}, std::pair("filters", &O::filters),
      std::pair("kernel_size", &O::kernel_size), std::pair("strides", &O::strides),
      std::pair("padding", &O::padding), std::pair("dilation_rate", &O::dilation_rate),
      std::pair("groups", &O::groups), std::pair("activation", &O::activation),
      std::pair("use_bias", &O::use_bias), std::pair("kernel_regularizer", &O::kernel_regularizer),
      std::pair("bias_regularizer", &O::bias_regularizer),
      std::pair("activity_regularizer", &O::activity_regularizer));
}

template <class Pooling>
Maker<Layer> pooling2d() {
  using O = nn::Pooling2DOptions;
  return layer<Pooling>(O(), std::pair("pool_size", &O::pool_size),
                        std::pair("strides", &O::strides), std::pair("padding", &O::padding));
}

template <class Pooling>
Maker<Layer> global_pooling2d() {
  using O = nn::GlobalPooling2DOptions;
  return layer<Pooling>(O(), std::pair("keepdims", &O::keepdims));
}

Maker<Layer> batch_normalization() {
  using O = nn::BatchNormalizationOptions;
  return layer<nn::BatchNormalization>(
      O(), std::pair("axis", &O::axis), std::pair("momentum", &O::momentum),
      std::pair("epsilon", &O::epsilon), std::pair("center", &O::center),
      std::pair("scale", &O::scale), std::pair("synchronized", &O::synchronized),
      std::pair("beta_regularizer", &O::beta_regularizer),
      std::pair("gamma_regularizer", &O::gamma_regularizer));
}

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
      {"Dense", dense()},
      {"Embedding", embedding()},
      {"Conv2D", conv2d()},
      {"MaxPooling2D", pooling2d<nn::MaxPooling2D>()},
      {"AveragePooling2D", pooling2d<nn::AveragePooling2D>()},
      {"GlobalMaxPooling2D", global_pooling2d<nn::GlobalMaxPooling2D>()},
      {"GlobalAveragePooling2D", global_pooling2d<nn::GlobalAveragePooling2D>()},
      {"BatchNormalization", batch_normalization()},
      {"Activation",
       layer<nn::Activation>(nn::ActivationOptions(),
                             std::pair("activation", &nn::ActivationOptions::activation))},
      {"Flatten", layer<nn::Flatten>(nn::FlattenOptions())},
      {"Reshape", layer<nn::Reshape>(nn::ReshapeOptions(),
                                     std::pair("target_shape", &nn::ReshapeOptions::target_shape))},
      {"Rescaling", layer<nn::Rescaling>(nn::RescalingOptions{.scale = 1},
                                         std::pair("scale", &nn::RescalingOptions::scale),
                                         std::pair("offset", &nn::RescalingOptions::offset))},
      {"Dropout", layer<nn::Dropout>(nn::DropoutOptions{.rate = 0},
                                     std::pair("rate", &nn::DropoutOptions::rate))},
      {"Concatenate", layer<nn::Concatenate>(nn::ConcatenateOptions(),
                                             std::pair("axis", &nn::ConcatenateOptions::axis))},
      {"Add", layer<nn::Add>(nn::AddOptions())},
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
