// The convolutional network on two one-thread devices, 64 rows each, against one device with one
// thread: samples/s, in alternating blocks of one run.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace {

using namespace cohort;

class Trainer {
 public:
  Trainer(const distribute::Strategy& strategy, int64_t batch_size) : batch_size_(batch_size) {
    Tensor x(DType::kF32, Shape{4096, 28, 28, 1}), y(DType::kI32, Shape{4096});
    for (int64_t i = 0; i < x.num_elements(); ++i)
      x.data<float>()[i] = static_cast<float>(i * 7919 % 256) / 255;
    for (int64_t i = 0; i < 4096; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i % 10);
    dataset_ = data::Dataset::from_tensor_slices({x, y})
                   .shuffle(4096)
                   .repeat()
                   .batch(batch_size)
                   .prefetch();
    model_ = strategy.scope([] {
      const nn::Model model = nn::Sequential(
          {nn::Input({.shape = {28, 28, 1}}),
           nn::Conv2D{.filters = 32, .kernel_size = 3, .padding = "same", .activation = "relu"},
           nn::MaxPooling2D{},
           nn::Conv2D{.filters = 64, .kernel_size = 3, .padding = "same", .activation = "relu"},
           nn::MaxPooling2D{}, nn::Flatten{}, nn::Dense{.units = 128, .activation = "relu"},
           nn::Dense{.units = 10}});
      model.compile({.optimizer = nn::Adam(),
                     .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
      return model;
    });
    samples_per_second(10);
  }

  double samples_per_second(int64_t steps) {
    const auto begin = std::chrono::steady_clock::now();
    model_.fit(*dataset_, {.epochs = 1, .verbose = 0, .steps_per_epoch = steps});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return static_cast<double>(steps * batch_size_) / took.count();
  }

 private:
  int64_t batch_size_;
  std::optional<data::Dataset> dataset_;
  nn::Model model_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() try {
  default_runtime().set_logical_cpu_devices(2, 1);
  Trainer one(distribute::OneDeviceStrategy("cpu:0"), 64);
  Trainer two(distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}}), 128);
  std::vector<double> alone, mirrored, ratio;
  for (int block = 0; block < 9; ++block) {
    alone.push_back(one.samples_per_second(60));
    mirrored.push_back(two.samples_per_second(60));
    ratio.push_back(mirrored.back() / alone.back());
  }
  fmt::print("one device {:.0f} samples/s, mirrored over two {:.0f}: {:.2f}x ({:.2f} to {:.2f})\n",
             median(alone), median(mirrored), median(ratio),
             *std::min_element(ratio.begin(), ratio.end()),
             *std::max_element(ratio.begin(), ratio.end()));
} catch (const cohort::Error& error) {
  fmt::print(stderr, "mirrored_scaling: {}\n", error.what());
  return 1;
}
