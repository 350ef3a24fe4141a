// Trains a classifier of clothes on Fashion-MNIST, on one device or mirrored over several.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;

namespace {

struct Arguments {
  std::string model = "mlp";
  std::string strategy = "one_device";
  int devices = 0;
  int64_t epochs = 5;
  int64_t batch_size = 0;
  uint64_t seed = 1;
  std::string data_dir = "/usr/share/datasets/fashion-mnist";
};

constexpr const char* kUsage =
    "fashion_mnist [--model mlp|cnn] [--strategy one_device|mirrored] [--devices N] [--epochs N]\n"
    "              [--batch-size N] [--seed N] [--data-dir DIRECTORY]\n"
    "--devices: GPUs, or logical CPU devices where there is no GPU; 0: all GPUs, or 2 of the CPU\n"
    "--batch-size: of all devices together; default 32 for mlp, 64 for cnn\n";

[[noreturn]] void leave(const std::string& complaint) {
  std::fprintf(complaint.empty() ? stdout : stderr, "%s%s", complaint.c_str(), kUsage);
  std::exit(complaint.empty() ? 0 : 2);
}

int64_t number(const std::string& name, const std::string& text) {
  size_t used = 0;
  int64_t value = -1;
  try {
    value = std::stoll(text, &used);
  } catch (const std::exception&) {
  }
  if (used != text.size() || value < 0)
    leave(name + ": got " + text + "; want a number, 0 or more\n");
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments result;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i], value;
    if (name == "--help") leave("");
    if (const size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      leave(name + ": got no value\n");
    }
    if (name == "--model") result.model = value;
    else if (name == "--strategy") result.strategy = value;
    else if (name == "--data-dir") result.data_dir = value;
    else if (name == "--devices") result.devices = static_cast<int>(number(name, value));
    else if (name == "--epochs") result.epochs = number(name, value);
    else if (name == "--batch-size") result.batch_size = number(name, value);
    else if (name == "--seed") result.seed = static_cast<uint64_t>(number(name, value));
    else leave("got " + name + "\n");
  }
  if (result.model != "mlp" && result.model != "cnn") leave("--model: got " + result.model + "\n");
  if (result.strategy != "one_device" && result.strategy != "mirrored")
    leave("--strategy: got " + result.strategy + "\n");
  if (result.batch_size == 0) result.batch_size = result.model == "cnn" ? 64 : 32;
  return result;
}

distribute::Strategy make_strategy(const Arguments& arguments) {
  cohort::Runtime& runtime = cohort::default_runtime();
  const bool gpu = !runtime.devices(cohort::DeviceType::kGPU).empty();
  if (arguments.strategy == "one_device") return distribute::OneDeviceStrategy(gpu ? "gpu:0" : "cpu:0");
  if (!gpu) runtime.set_logical_cpu_devices(arguments.devices > 0 ? arguments.devices : 2);
  std::vector<std::string> devices;
  for (int i = 0; gpu && i < arguments.devices; ++i) devices.push_back("gpu:" + std::to_string(i));
  return distribute::MirroredStrategy({.devices = devices});
}

nn::Model make_model(const std::string& kind) {
  if (kind == "mlp")
    return nn::Sequential({
        nn::Input({.shape = {28, 28}}),
        nn::Flatten(),
        nn::Dense({.units = 128, .activation = "relu"}),
        nn::Dropout({.rate = 0.2}),
        nn::Dense({.units = 10}),
    });
  return nn::Sequential({
      nn::Input({.shape = {28, 28}}),
      nn::Reshape({.target_shape = {28, 28, 1}}),
      nn::Conv2D({.filters = 32, .kernel_size = 3, .padding = "same", .activation = "relu"}),
      nn::MaxPooling2D(),
      nn::Conv2D({.filters = 64, .kernel_size = 3, .padding = "same", .activation = "relu"}),
      nn::MaxPooling2D(),
      nn::Flatten(),
      nn::Dense({.units = 128, .activation = "relu"}),
      nn::Dense({.units = 10}),
  });
}

void train(const Arguments& arguments) {
  nn::set_random_seed(arguments.seed);
  const distribute::Strategy strategy = make_strategy(arguments);
  auto [train, test] = data::load_mnist_files(arguments.data_dir);
  const auto prepare = [&](const data::Dataset& images) {
    return images.cast(0, cohort::DType::kF32, 1.0 / 255).batch(arguments.batch_size).prefetch();
  };
  const nn::Model model = strategy.scope([&] {
    const nn::Model model = make_model(arguments.model);
    model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                   .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
  model.summary();
  model.fit(prepare(train.shuffle(train.cardinality())),
            {.epochs = arguments.epochs, .validation_data = prepare(test)});
  const nn::Logs result = model.evaluate(prepare(test), {.verbose = 0});
  std::printf("test accuracy: %.4f\n", result["accuracy"]);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  try {
    train(arguments);
  } catch (const cohort::Error& error) {
    std::fprintf(stderr, "fashion_mnist: %s\n", error.what());
    return 1;
  }
}
