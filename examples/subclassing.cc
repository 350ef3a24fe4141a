// Layers and a model of one's own, a variational autoencoder, as in Keras' guide "Making new layers
// and models via subclassing": classes derive from what is behind a handle, nn::make gives that.
#include <cstdio>
#include <string>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace ops = cohort::ops;
using cohort::TensorType;
using cohort::Value;

namespace {

constexpr int64_t kPixels = 28 * 28;

/// y = x kernel + bias. Weights are made when the first input's shape is known.
class Linear : public nn::LayerImpl {
 public:
  explicit Linear(int64_t units) : LayerImpl("Linear"), units_(units) {}
  void build(std::span<const TensorType> inputs) override {
    kernel_ = add_weight("kernel", {.shape = {inputs[0].shape[1], units_}});
    bias_ = add_weight("bias", {.shape = {units_}, .initializer = "zeros"});
  }
  std::vector<Value> call(const nn::CallArgs& args) override {
    return {ops::matmul(args.input(), kernel_) + bias_};
  }

 private:
  int64_t units_;
  nn::Variable kernel_, bias_;
};

/// (mean, log variance) -> in training a sample of that normal distribution, else its mean.
class Sampling : public nn::LayerImpl {
 public:
  Sampling() : LayerImpl("Sampling") {}
  std::vector<Value> call(const nn::CallArgs& args) override {
    const Value mean = args.input(0), log_variance = args.input(1);
    if (!args.training) return {mean};
    const Value noise = ops::random_normal(mean.shape(), mean.dtype());
    return {mean + ops::exp(0.5 * log_variance) * noise};
  }
};

/// Images -> mean and log variance of their codes: a layer made of layers, with two outputs. The
/// names given to child() are those of the weights' paths: "…/encoder/mean/kernel".
class Encoder : public nn::LayerImpl {
 public:
  Encoder(int64_t hidden, int64_t code)
      : LayerImpl("Encoder"),
        hidden_(child("hidden", nn::make<Linear>(hidden))),
        mean_(child("mean", nn::make<Linear>(code))),
        log_variance_(child("log_variance", nn::make<Linear>(code))) {}
  std::vector<Value> call(const nn::CallArgs& args) override {
    const Value h = ops::relu(hidden_(args.input()));
    return {mean_(h), log_variance_(h)};
  }

 private:
  nn::Layer hidden_, mean_, log_variance_;
};

/// Pixels -> the same pixels, through a narrow code. add_loss() adds to what compile() asks for how
/// far the codes are from a standard normal distribution.
class Autoencoder : public nn::ModelImpl {
 public:
  Autoencoder(int64_t hidden, int64_t code)
      : ModelImpl("Autoencoder"),
        encoder_(child("encoder", nn::make<Encoder>(hidden, code))),
        sampling_(child("sampling", nn::make<Sampling>())),
        decoder_(
            child("decoder", nn::Sequential({nn::make<Linear>(hidden), nn::Activation("relu"),
                                             nn::make<Linear>(kPixels), nn::Activation("sigmoid")},
                                            {.name = "decoder"}))) {}
  std::vector<Value> call(const nn::CallArgs& args) override {
    const std::vector<Value> code = encoder_.call({args.input()});
    const Value mean = code[0], log_variance = code[1];
    const Value divergence = 0.5 * (ops::square(mean) + ops::exp(log_variance) - log_variance - 1);
    add_loss(nn::compute_average_loss(ops::reduce_sum(divergence, {.axis = {1}})) / kPixels);
    return {decoder_(sampling_(code))};  // `training` is handed on
  }

 private:
  nn::Layer encoder_, sampling_, decoder_;
};

void train(int epochs) {
  nn::set_random_seed(1);
  const auto [train, test] = data::load_mnist_files("/usr/share/datasets/fashion-mnist");
  const auto twice = [](const data::Element& image) -> data::Element {
    const cohort::Tensor pixels = image[0].reshape({kPixels});
    return {pixels, pixels};  // what goes in shall come out
  };
  const auto prepare = [&](const data::Dataset& images) {
    return images.cast(0, cohort::DType::kF32, 1.0 / 255).map(twice).batch(128).prefetch();
  };
  const nn::Model model = nn::make<Autoencoder>(128, 8);
  model.compile({.optimizer = "adam", .loss = "binary_crossentropy", .metrics = {"mse"}});
  const auto error = [&] { return model.evaluate(prepare(test), {.verbose = 0})["mse"]; };
  std::printf("reconstruction error before: %.4f\n", error());
  model.summary();
  model.fit(prepare(train.shuffle(train.cardinality())), {.epochs = epochs});
  std::printf("reconstruction error after: %.4f\n", error());
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("subclassing", [&] {
    int epochs = 3, end = 0;
    if (argc > 1 &&
        (argc != 3 || std::string(argv[1]) != "--epochs" ||
         std::sscanf(argv[2], "%d%n", &epochs, &end) != 1 || argv[2][end] || epochs < 1))
      throw cohort::InvalidArgument("got {}; want --epochs N, N from 1", argv[argc - 1]);
    train(epochs);
    return 0;
  });
}
