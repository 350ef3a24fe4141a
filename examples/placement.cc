// Parts of one model on devices of their own: two towers look at the same image, each on its own
// logical CPU device, at the same time. Prints where each op of a training step ran, and that the
// weights are those of a model on one device. With GPUs, "gpu:0" and "gpu:1" are written instead.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "cohort/cohort.h"
#include "cohort/core/trace/recorder.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
using cohort::DeviceScope;

namespace {

/// What is called inside a DeviceScope runs there: forwards, backwards and its weights' updates.
nn::SymbolicTensor make_tower(const std::string& device, const nn::SymbolicTensor& pixels,
                              const std::string& name, const std::string& activation) {
  const DeviceScope scope(device);
  const auto hidden =
      nn::Dense{.units = 128, .activation = activation, .name = name + "_hidden"}(pixels);
  return nn::Dense{.units = 64, .activation = activation, .name = name}(hidden);
}

/// Outside of scopes ops run on the device of the strategy, here the default one: cpu:0.
nn::Model make_model(const std::string& left_device, const std::string& right_device) {
  nn::set_random_seed(1);
  const auto image = nn::Input({.shape = {28, 28}, .name = "image"});
  const auto pixels = nn::Flatten{}(nn::Rescaling{.scale = 1.0 / 255}(image));
  const auto left = make_tower(left_device, pixels, "left", "relu");
  const auto right = make_tower(right_device, pixels, "right", "tanh");
  const auto both = nn::Concatenate{.name = "both"}({left, right});
  const auto logits = nn::Dense{.units = 10, .name = "logits"}(both);
  const nn::Model model({.inputs = {image}, .outputs = {logits}, .name = "towers"});
  model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                 .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
  return model;
}

/// Runs one training step and prints, device by device, the nodes of the graph that it ran.
void print_step(const nn::Model& model, const data::Element& batch) {
  cohort::TraceRecorder recorder;
  cohort::default_runtime().record_to(&recorder);
  model.train_on_batch(batch[0], batch[1]);
  cohort::default_runtime().record_to(nullptr);
  std::vector<cohort::TraceEvent> events = recorder.events();
  std::stable_sort(events.begin(), events.end(),
                   [](const auto& a, const auto& b) { return a.track < b.track; });
  for (const cohort::TraceEvent& event : events) {
    const std::string device = event.track.substr(event.track.find("device:") + 7);
    std::printf("%-6s %-18s %s\n", device.c_str(), event.op.c_str(), event.name.c_str());
  }
}

void train(int epochs) {
  cohort::default_runtime().set_logical_cpu_devices(2);
  for (const cohort::Device* device : cohort::default_runtime().devices())
    std::printf("%s: %d threads\n", device->name().to_string().c_str(), device->num_threads());

  const auto [train, test] = data::load_mnist_files("/usr/share/datasets/fashion-mnist");
  const data::Dataset batches = train.shuffle(train.cardinality()).batch(128).prefetch();
  const nn::Model model = make_model("cpu:0", "cpu:1");
  model.fit(batches, {.epochs = epochs});
  std::printf("test accuracy: %.4f\n", model.evaluate(test.batch(500), {.verbose = 0})["accuracy"]);
  const nn::Model same = make_model("cpu:0", "cpu:0");
  same.fit(batches, {.epochs = epochs, .verbose = 0});
  std::printf("same weights on one device: %s\n",
              model.fingerprint() == same.fingerprint() ? "yes" : "no");
  print_step(model, *test.batch(128).iterate().next());
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("placement", [&] {
    int epochs = 2, end = 0;
    if (argc > 1 &&
        (argc != 3 || std::string(argv[1]) != "--epochs" ||
         std::sscanf(argv[2], "%d%n", &epochs, &end) != 1 || argv[2][end] || epochs < 1))
      throw cohort::InvalidArgument("got {}; want --epochs N, N from 1", argv[argc - 1]);
    train(epochs);
    return 0;
  });
}
