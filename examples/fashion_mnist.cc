// Trains a classifier of clothes on Fashion-MNIST: on one device, mirrored over several, or over
// the devices of several workers, who find each other by TF_CONFIG, Slurm, mpirun or cohort-launch.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;

namespace {

struct Arguments {
  std::string model = "mlp", strategy = "one_device", communication = "auto", sharding = "none";
  std::string data_dir = "/usr/share/datasets/fashion-mnist", checkpoint_dir;
  int devices = 0, replicas = 0, epochs = 5, batch_size = 0, seed = 1, save_freq = 500;
};

constexpr const char* kUsage =
    "usage: fashion_mnist [--model mlp|cnn] [--communication auto|ring|mpi] [--devices N]\n"
    "           [--strategy one_device|mirrored|multi_worker_mirrored] [--replicas N]\n"
    "           [--sharding none|zero1|zero2] [--epochs N] [--batch-size N] [--seed N]\n"
    "           [--data-dir DIR] [--checkpoint-dir DIR] [--save-freq N] [--version]\n"
    "--devices: GPUs, or logical CPU devices where there is no GPU, of each worker; 0: all GPUs,\n"
    "           or of the CPU 2 (mirrored) or 1 (multi_worker_mirrored)\n"
    "--replicas: of the whole job, at least one for each device, which is what 0 means; equal\n"
    "           numbers give equal weights on any number of devices and workers\n"
    "--sharding: whether devices divide the slots (zero1), and gradients (zero2); equal weights\n"
    "--batch-size: of all devices together; default 32 for mlp, 64 for cnn\n"
    "--checkpoint-dir: saved there after every --save-freq (500) batches; goes on from there\n";

[[noreturn]] void leave(const std::string& got) {
  if (got == "--version") std::exit(std::printf("fashion_mnist %s\n", COHORT_VERSION) < 0);
  const bool help = got == "--help";
  std::fprintf(help ? stdout : stderr, "%s%s", help ? "" : ("got " + got + "\n").c_str(), kUsage);
  std::exit(help ? 0 : 2);
}

int number(const std::string& text) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 0) leave(text);
  return static_cast<int>(value);
}

Arguments parse(int argc, char** argv) {
  Arguments result;
  const std::map<std::string, std::string*> texts{
      {"--model", &result.model},       {"--strategy", &result.strategy},
      {"--sharding", &result.sharding}, {"--communication", &result.communication},
      {"--data-dir", &result.data_dir}, {"--checkpoint-dir", &result.checkpoint_dir}};
  const std::map<std::string, int*> numbers{
      {"--devices", &result.devices}, {"--replicas", &result.replicas},
      {"--epochs", &result.epochs},   {"--batch-size", &result.batch_size},
      {"--seed", &result.seed},       {"--save-freq", &result.save_freq}};
  for (int i = 1; i < argc; i += 2) {
    const auto text = texts.find(argv[i]);
    const auto count = numbers.find(argv[i]);
    if (i + 1 == argc || (text == texts.end() && count == numbers.end())) leave(argv[i]);
    if (text != texts.end()) *text->second = argv[i + 1];
    if (count != numbers.end()) *count->second = number(argv[i + 1]);
  }
  if (result.model != "mlp" && result.model != "cnn") leave("--model " + result.model);
  if (result.strategy != "one_device" && result.strategy != "mirrored" &&
      result.strategy != "multi_worker_mirrored")
    leave("--strategy " + result.strategy);
  if (result.strategy == "one_device" && result.replicas > 1)
    leave("--strategy one_device with --replicas; want mirrored for several");
  if (result.batch_size == 0) result.batch_size = result.model == "cnn" ? 64 : 32;
  return result;
}

distribute::Strategy make_strategy(const Arguments& arguments) {
  cohort::Runtime& runtime = cohort::default_runtime();
  const distribute::Sharding sharding = distribute::parse_sharding(arguments.sharding);
  const bool gpu = !runtime.devices(cohort::DeviceType::kGPU).empty();
  if (arguments.strategy == "one_device")
    return distribute::OneDeviceStrategy(gpu ? "gpu:0" : "cpu:0");
  std::vector<std::string> devices;
  for (int i = 0; gpu && i < arguments.devices; ++i) devices.push_back("gpu:" + std::to_string(i));
  if (arguments.strategy == "multi_worker_mirrored") {
    if (!gpu && arguments.devices > 0) runtime.set_logical_cpu_devices(arguments.devices, 1);
    return distribute::MultiWorkerMirroredStrategy(
        {.devices = devices,
         .num_replicas = arguments.replicas,
         .communication_options = {.implementation = distribute::parse_communication_implementation(
                                       arguments.communication)},
         .sharding = sharding,
         .resume_from = arguments.checkpoint_dir});
  }
  if (!gpu) runtime.set_logical_cpu_devices(arguments.devices > 0 ? arguments.devices : 2);
  return distribute::MirroredStrategy({.devices = devices,
                                       .num_replicas = arguments.replicas,
                                       .sharding = sharding,
                                       .resume_from = arguments.checkpoint_dir});
}

nn::Model make_model(const std::string& kind) {
  if (kind == "mlp")
    return nn::Sequential({nn::Input({.shape = {28, 28}}), nn::Flatten{},
                           nn::Dense{.units = 128, .activation = "relu"}, nn::Dropout{.rate = 0.2},
                           nn::Dense{.units = 10}});
  return nn::Sequential(
      {nn::Input({.shape = {28, 28}}), nn::Reshape{.target_shape = {28, 28, 1}},
       nn::Conv2D{.filters = 32, .kernel_size = 3, .padding = "same", .activation = "relu"},
       nn::MaxPooling2D{},
       nn::Conv2D{.filters = 64, .kernel_size = 3, .padding = "same", .activation = "relu"},
       nn::MaxPooling2D{}, nn::Flatten{}, nn::Dense{.units = 128, .activation = "relu"},
       nn::Dense{.units = 10}});
}

void train(const Arguments& arguments) {
  nn::set_random_seed(static_cast<uint64_t>(arguments.seed));
  const distribute::Strategy strategy = make_strategy(arguments);
  auto [train, test] = data::load_mnist_files(arguments.data_dir);
  const auto prepare = [&](const data::Dataset& images) {
    return images.cast(0, cohort::DType::kF32, 1.0 / 255).batch(arguments.batch_size).prefetch();
  };
  const nn::Model model = strategy.scope([&] {
    const nn::Model model = make_model(arguments.model);
    model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                   .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                   .metrics = {"accuracy"}});
    return model;
  });
  if (strategy.is_chief()) model.summary();
  nn::FitOptions options{.epochs = arguments.epochs, .validation_data = prepare(test)};
  if (!arguments.checkpoint_dir.empty())
    options.callbacks = {nn::BackupAndRestore({.backup_dir = arguments.checkpoint_dir,
                                               .save_freq = arguments.save_freq,
                                               .delete_checkpoint = false,
                                               .save_before_preemption = true})};
  model.fit(prepare(train.shuffle(train.cardinality())), options);
  const nn::Logs result = model.evaluate(prepare(test), {.verbose = 0});
  std::printf("weights: %s\n", model.fingerprint().c_str());
  if (strategy.is_chief()) std::printf("test accuracy: %.4f\n", result["accuracy"]);
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("fashion_mnist", [&] {
    train(parse(argc, argv));
    return 0;
  });
}
