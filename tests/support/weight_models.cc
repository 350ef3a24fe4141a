#include "tests/support/weight_models.h"

namespace cohort::testing {
namespace {

Tensor numbers(Shape shape) {
  Tensor result(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < result.num_elements(); ++i)
    result.data<float>()[i] = static_cast<float>(static_cast<double>(i * 37 % 101) / 101 - 0.5);
  return result;
}

nn::Model sequential() {
  return nn::Sequential(
      {nn::Input({.shape = {8, 8, 2}}),
       nn::Conv2D{.filters = 3, .kernel_size = 3, .activation = "relu", .name = "stem"},
       nn::BatchNormalization{}, nn::MaxPooling2D{}, nn::Flatten{}, nn::Dropout{.rate = 0.2},
       nn::Dense{.units = 5}, nn::Dense{.units = 3}});
}

nn::Model functional() {
  const auto left = nn::Input({.shape = {4}, .name = "left"});
  const auto right = nn::Input({.shape = {4}, .name = "right"});
  const nn::Layer shared = nn::Dense{.units = 3, .activation = "tanh", .name = "shared"};
  const auto sum = nn::Add{}({shared(left), shared(right)});
  return nn::Model(
      {.inputs = {left, right}, .outputs = {nn::Dense{.units = 2, .name = "head"}(sum)}});
}

nn::Model nested() {
  const auto words = nn::Input({.shape = {6}, .dtype = DType::kI32});
  const nn::Sequential inner({nn::Dense{.units = 4, .activation = "relu"}, nn::Dense{.units = 3}},
                             {.name = "inner"});
  const auto vectors = nn::Embedding{.input_dim = 11, .output_dim = 5}(words);
  return nn::Model(
      {.inputs = {words}, .outputs = {nn::Dense{.units = 2}(nn::Flatten{}(inner(vectors)))}});
}

class Subclassed : public nn::ModelImpl {
 public:
  Subclassed() : ModelImpl("Subclassed") {}
  void build(std::span<const TensorType>) override {
    scale_ = add_weight("scale", {.shape = {4}, .initializer = "ones"});
  }
  std::vector<Value> call(const nn::CallArgs& args) override {
    return {out_(hidden_(blocks_(encoder_(args.input()))) * scale_)};
  }

 private:
  nn::Variable scale_;
  nn::Layer encoder_ = child("encoder", nn::Dense{.units = 4});
  nn::Layer hidden_ = child("_hidden", nn::Dense{.units = 4});
  nn::Layer out_ = child("out", nn::Dense{.units = 2});
  nn::Layer blocks_ =
      child("blocks", nn::Sequential({nn::Dense{.units = 4}, nn::Dense{.units = 4}}));
};

}  // namespace

nn::Model make_weight_model(const std::string& name) {
  if (name == "sequential") return sequential();
  if (name == "functional") return functional();
  if (name == "nested") return nested();
  if (name != "subclassed") throw InvalidArgument("got model {}", name);
  nn::Model model = nn::make<Subclassed>();
  model.predict_all(weight_model_inputs(name), {.verbose = 0});
  return model;
}

std::vector<Tensor> weight_model_inputs(const std::string& name) {
  if (name == "sequential") return {numbers({3, 8, 8, 2})};
  if (name == "functional") return {numbers({3, 4}), numbers({3, 4})};
  if (name == "subclassed") return {numbers({3, 4})};
  Tensor words(DType::kI32, Shape{3, 6});
  for (int i = 0; i < 18; ++i) words.data<int32_t>()[i] = i * 7 % 11;
  return {words};
}

}  // namespace cohort::testing
