// Goes on from a network that Keras trained: its convolutions, which tell five kinds of
// Fashion-MNIST's pictures apart, learn the five others from 200 pictures. First a new head alone
// is trained on the frozen base, then everything, slowly. A network without that start, trained as
// long on the same pictures, shows what it was worth. transfer_learning_base.py makes the base.
// Needs a build with HDF5; --base says where the base lies, --save where to write what became of
// it.
#include <cstdio>
#include <string>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
using cohort::Tensor;

namespace {

constexpr int kFirst = 5, kClasses = 5;  // sandals, shirts, sneakers, bags, boots
constexpr int64_t kPictures = 200;

/// As the base was made in Keras; the names are the layers' there.
nn::Model make_base() {
  return nn::Sequential(
      {nn::Input({.shape = {28, 28}}), nn::Rescaling{.scale = 1.0 / 255},
       nn::Reshape{.target_shape = {28, 28, 1}},
       nn::Conv2D{
           .filters = 16, .kernel_size = 3, .strides = 2, .activation = "relu", .name = "edges"},
       nn::Conv2D{
           .filters = 32, .kernel_size = 3, .strides = 2, .activation = "relu", .name = "parts"},
       nn::Flatten{}},
      {.name = "base"});
}

nn::Model with_head(const nn::Model& base) {
  const auto pictures = nn::Input({.shape = {28, 28}});
  const auto features = nn::Dropout{.rate = 0.3}(base(pictures));
  return nn::Model({.inputs = {pictures}, .outputs = {nn::Dense{.units = kClasses}(features)}});
}

void compile(const nn::Model& model, double learning_rate) {
  model.compile({.optimizer = nn::Adam{.learning_rate = learning_rate},
                 .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
}

/// The kinds that the base does not know, counted from 0.
data::Dataset others(const data::Dataset& pictures) {
  return pictures.filter([](const data::Element& each) { return each[1].item<int>() >= kFirst; })
      .map([](const data::Element& each) -> data::Element {
        return {each[0], Tensor::scalar<int32_t>(each[1].item<int>() - kFirst)};
      });
}

struct Arguments {
  int epochs = 10;
  std::string base = "examples/transfer_learning_base.weights.h5", save;
};

Arguments parse(int argc, char** argv) {
  Arguments result;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    int end = 0;
    if (option == "--base")
      result.base = value;
    else if (option == "--save")
      result.save = value;
    else if (option != "--epochs" ||
             std::sscanf(value.c_str(), "%d%n", &result.epochs, &end) != 1 ||
             value[static_cast<size_t>(end)] || result.epochs < 1)
      throw cohort::InvalidArgument("got {} {}; want --epochs N, N from 1, --base or --save FILE",
                                    option, value);
  }
  return result;
}

void train(const Arguments& arguments) {
  const int epochs = arguments.epochs;
  nn::set_random_seed(1);
  const auto [train, test] = data::load_mnist_files("/usr/share/datasets/fashion-mnist");
  const data::Dataset few = others(train).take(kPictures).cache().shuffle(kPictures).batch(20);
  const data::Dataset unseen = others(test).batch(500).cache();
  const auto accuracy = [&](const nn::Model& model) {
    return model.evaluate(unseen, {.verbose = 0})["accuracy"];
  };

  const nn::Model base = make_base();
  base.load_weights(arguments.base);
  base.set_trainable(false);
  const nn::Model model = with_head(base);
  model.summary({.show_trainable = true});
  compile(model, 1e-2);
  model.fit(few, {.epochs = epochs});
  std::printf("a new head: test accuracy: %.4f\n", accuracy(model));

  base.set_trainable(true);
  compile(model, 1e-4);
  model.fit(few, {.epochs = 2 * epochs, .initial_epoch = epochs});
  if (!arguments.save.empty()) base.save_weights(arguments.save);  // for Keras, too

  const nn::Model alone = with_head(make_base());
  compile(alone, 1e-3);
  alone.fit(few, {.epochs = 2 * epochs, .verbose = 0});
  std::printf("without the base: test accuracy: %.4f\n", accuracy(alone));
  std::printf("fine-tuned: test accuracy: %.4f\n", accuracy(model));
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("transfer_learning", [&] {
    train(parse(argc, argv));
    return 0;
  });
}
