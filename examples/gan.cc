// A generative adversarial network on Fashion-MNIST: two models, two optimizers and a training step
// of one's own, in which each model learns from what the other does.
#include <cstdio>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace ops = cohort::ops;
using cohort::DType;
using cohort::Tensor;
using cohort::Value;

namespace {

constexpr int64_t kCode = 32;  // numbers from which an image is made
constexpr int64_t kBatch = 128;

/// [N, kCode] -> images [N, 28, 28] of 0 … 1.
nn::Model make_generator() {
  return nn::Sequential(
      {nn::Input({.shape = {kCode}}), nn::Dense{.units = 128, .activation = "leaky_relu"},
       nn::BatchNormalization{}, nn::Dense{.units = 256, .activation = "leaky_relu"},
       nn::BatchNormalization{}, nn::Dense{.units = 28 * 28, .activation = "sigmoid"},
       nn::Reshape{.target_shape = {28, 28}}});
}

/// Images -> [N, 1]: above 0 for those it takes for real.
nn::Model make_discriminator() {
  return nn::Sequential({nn::Input({.shape = {28, 28}}), nn::Flatten{},
                         nn::Dense{.units = 256, .activation = "leaky_relu"},
                         nn::Dropout{.rate = 0.3},
                         nn::Dense{.units = 128, .activation = "leaky_relu"},
                         nn::Dropout{.rate = 0.3}, nn::Dense{.units = 1}});
}

/// Some images [M, 28, 28] side by side, two rows of pixels to a line.
void print_images(const Tensor& images, int64_t count) {
  for (int64_t y = 0; y < 28; y += 2) {
    for (int64_t x = 0; x < count * 28; ++x) {
      const float pixel = images.data<float>()[(x / 28 * 28 + y) * 28 + x % 28];
      std::putchar(" .:-=+*#%@"[static_cast<int>(pixel * 9.99f)]);
    }
    std::putchar('\n');
  }
}

/// How much the means of many images differ, pixel by pixel: a rough measure of success.
Value distance_of_means(Value a, Value b) {
  const Value difference = ops::reduce_mean(a, {.axis = {0}}) - ops::reduce_mean(b, {.axis = {0}});
  return ops::sqrt(ops::reduce_mean(ops::square(difference)));
}

void record_update(Value loss, const nn::Model& model, const nn::Optimizer& optimizer) {
  const std::vector<nn::Variable> weights = model.trainable_weights();
  optimizer.apply_gradients(nn::zip(nn::gradients(loss, weights), weights));
}

void train(int epochs) {
  nn::set_random_seed(1);
  const data::Dataset images = data::load_mnist_files("/usr/share/datasets/fashion-mnist")
                                   .train.cast(0, DType::kF32, 1.0 / 255);
  const data::Dataset batches =
      images.shuffle(images.cardinality()).batch(kBatch, {.drop_remainder = true}).prefetch();

  const nn::Model generator = make_generator(), discriminator = make_discriminator();
  const nn::Optimizer generator_optimizer = nn::Adam{.learning_rate = 2e-4, .beta_1 = 0.5};
  const nn::Optimizer discriminator_optimizer = nn::Adam{.learning_rate = 2e-4, .beta_1 = 0.5};
  const cohort::Function step = cohort::function([=](Value real) -> std::vector<Value> {
    const nn::Loss loss = nn::BinaryCrossentropy{.from_logits = true};
    const Value code = ops::random_normal({kBatch, kCode}, DType::kF32);
    const Value fake = generator(code, {.training = true});
    const Value on_real = discriminator(real, {.training = true});
    const Value on_fake = discriminator(fake, {.training = true});
    const Value ones = ops::ones_like(on_real), zeros = ops::zeros_like(on_fake);
    const Value discriminator_loss = loss(ones, on_real) + loss(zeros, on_fake);
    const Value generator_loss = loss(ones, on_fake);
    // Each takes the gradient for its own weights; all of them change at the step's end.
    record_update(discriminator_loss, discriminator, discriminator_optimizer);
    record_update(generator_loss, generator, generator_optimizer);
    return {discriminator_loss, generator_loss};
  });
  const Tensor codes = cohort::function([] {
    return ops::random_normal({1000, kCode}, DType::kF32);
  })()[0];
  const Tensor real = (*images.batch(1000).iterate().next())[0];
  const cohort::Function distance = cohort::function(distance_of_means);
  const auto measure = [&] {
    return distance(generator.predict(codes, {.verbose = 0}), real)[0].item<double>();
  };
  std::printf("untrained: distance %.4f\n", measure());
  for (int epoch = 1; epoch <= epochs; ++epoch) {
    double losses[2] = {0, 0};
    for (const data::Element& batch : batches.iterate({.epoch = epoch})) {
      const std::vector<Tensor> values = step(batch[0]);
      for (size_t i = 0; i < 2; ++i) losses[i] += values[i].item<double>();
    }
    const auto steps = static_cast<double>(batches.cardinality());
    std::printf("epoch %d: discriminator %.3f, generator %.3f, distance %.4f\n", epoch,
                losses[0] / steps, losses[1] / steps, measure());
  }
  print_images(generator.predict(codes, {.verbose = 0}), 3);
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("gan", [&] {
    int epochs = 4, end = 0;
    if (argc > 1 &&
        (argc != 3 || std::string(argv[1]) != "--epochs" ||
         std::sscanf(argv[2], "%d%n", &epochs, &end) != 1 || argv[2][end] || epochs < 1))
      throw cohort::InvalidArgument("got {}; want --epochs N, N from 1", argv[argc - 1]);
    train(epochs);
    return 0;
  });
}
