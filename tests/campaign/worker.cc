// One worker of the jobs that the campaign starts and disturbs (tests/campaign.sh):
//
//   campaign_worker [--seconds S] [--layers L] [--units U] [--timeout S] [--startup S]
//                   [--fault NAME --victim RANK]
//
// Trains L hidden layers of U units until the chief has trained for S seconds, and prints `name:
// value` lines: `rank` and process when the job has started, `step` after the first batch,
// `weights` at the end. `--fault` makes worker RANK fail by itself. An error is printed as `error:
// CODE message`, and the exit code is 3.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

#include "cohort/cohort.h"
#include "cohort/data/tfrecord.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;
using cohort::DType;
using cohort::Shape;
using cohort::Tensor;

namespace {

constexpr int64_t kRows = 4000, kColumns = 20, kClasses = 5;
// A fault comes in the second epoch.
constexpr int kGoodElements = 5000;
constexpr const char* kText = "fault of the campaign";

struct Arguments {
  double seconds = 3;
  int layers = 1, units = 16, timeout = 600, startup = 60, victim = -1;
  std::string fault;
};

void say(const char* name, const std::string& value) {
  std::printf("%s: %s\n", name, value.c_str());
  std::fflush(stdout);
}

Arguments parse(int argc, char** argv) {
  Arguments result;
  const std::map<std::string, std::function<void(const char*)>> options{
      {"--seconds", [&](const char* text) { result.seconds = std::atof(text); }},
      {"--layers", [&](const char* text) { result.layers = std::atoi(text); }},
      {"--units", [&](const char* text) { result.units = std::atoi(text); }},
      {"--timeout", [&](const char* text) { result.timeout = std::atoi(text); }},
      {"--startup", [&](const char* text) { result.startup = std::atoi(text); }},
      {"--victim", [&](const char* text) { result.victim = std::atoi(text); }},
      {"--fault", [&](const char* text) { result.fault = text; }},
  };
  for (int i = 1; i < argc; i += 2) {
    const auto option = options.find(argv[i]);
    if (option == options.end() || i + 1 == argc)
      throw cohort::InvalidArgument("campaign_worker: got {}", argv[i]);
    option->second(argv[i + 1]);
  }
  return result;
}

/// Says when the first step is made; the chief ends the training when its time is over.
class Clock : public nn::CallbackImpl {
 public:
  explicit Clock(double seconds) : seconds_(seconds) {}
  void on_train_begin() override { begin_ = std::chrono::steady_clock::now(); }
  void on_train_batch_end(int64_t, const nn::Logs&) override {
    if (!std::exchange(said_, true)) say("step", "made");
    const std::chrono::duration<double> past = std::chrono::steady_clock::now() - begin_;
    if (params().is_chief && past.count() >= seconds_) model().set_stop_training(true);
  }

 private:
  const double seconds_;
  bool said_ = false;
  std::chrono::steady_clock::time_point begin_;
};

std::string fault_text(const Arguments& arguments) {
  return std::string(kText) + " of worker " + std::to_string(arguments.victim);
}

/// What the victim's callback does at its tenth batch.
std::map<std::string, std::function<void()>> callback_faults(const Arguments& arguments) {
  const std::string text = fault_text(arguments);
  return {{"callback", [text] { throw std::runtime_error(text); }},
          {"callback_error", [text] { throw cohort::InvalidArgument("callback: {}", text); }},
          {"exit", [] { std::exit(7); }},
          {"thread", [text] { std::thread([text] { throw std::runtime_error(text); }).join(); }}};
}

/// What the victim's map does with an element in the second epoch.
std::map<std::string, std::function<void()>> map_faults(const Arguments& arguments) {
  const std::string text = fault_text(arguments);
  return {{"map", [text] { throw std::runtime_error(text); }},
          {"map_error", [text] { throw cohort::DataLoss("map: {}", text); }},
          {"map_memory", [] { throw std::bad_alloc(); }}};
}

/// Reads a record of a file beside every element; the file ends within one.
data::Dataset beside_truncated_file(const data::Dataset& dataset) {
  const std::string path = "truncated.tfrecord";
  data::TFRecordWriter writer(path);
  const std::string record = fmt::format("{:100}", kText);
  for (int64_t i = 0; i < kRows; ++i) writer.write(record);
  writer.close();
  if (truncate(path.c_str(), kRows / 2 * static_cast<int64_t>(record.size())) != 0)
    throw cohort::Internal("campaign_worker: cannot truncate {}", path);
  const auto records =
      std::make_shared<data::Iterator>(data::Dataset::from_tfrecord({path}).iterate());
  return dataset.map([records](const data::Element& element) {
    records->next();
    return element;
  });
}

data::Dataset make_dataset(const Arguments& arguments, bool is_victim) {
  Tensor x(DType::kF32, Shape{kRows, kColumns}), y(DType::kI32, Shape{kRows});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>(i * 7919 % 1009) / 1009.f - 0.5f;
  for (int64_t i = 0; i < kRows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % kClasses);
  data::Dataset dataset = data::Dataset::from_tensor_slices({x, y}).shuffle(kRows);
  if (!is_victim) return dataset.batch(32).prefetch();
  if (arguments.fault == "truncated") dataset = beside_truncated_file(dataset);
  const auto faults = map_faults(arguments);
  if (const auto fault = faults.find(arguments.fault); fault != faults.end()) {
    const auto count = std::make_shared<std::atomic<int>>(0);
    dataset = dataset.map([count, act = fault->second](const data::Element& element) {
      if (++*count > kGoodElements) act();
      return element;
    });
  }
  return dataset.batch(32).prefetch();
}

nn::Model make_model(const Arguments& arguments) {
  std::vector<nn::Layer> layers{nn::Input({.shape = {kColumns}})};
  for (int i = 0; i < arguments.layers; ++i)
    layers.push_back(nn::Dense{.units = arguments.units, .activation = "relu"});
  layers.push_back(nn::Dense{.units = kClasses});
  nn::Model model = nn::Sequential(layers);
  model.compile({.optimizer = nn::SGD({.learning_rate = 0.01}),
                 .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  return model;
}

int train(const Arguments& arguments) {
  cohort::default_runtime().set_logical_cpu_devices(1, 1);
  nn::set_random_seed(7);
  const auto strategy = distribute::MultiWorkerMirroredStrategy(
      {.communication_options = {.timeout = std::chrono::seconds(arguments.timeout)},
       .startup_timeout = std::chrono::seconds(arguments.startup)});
  const int rank = strategy.impl().first_replica();
  say("rank", fmt::format("{} process {}", rank, getpid()));
  const bool is_victim = rank == arguments.victim;
  if (is_victim && arguments.fault == "return") return 0;
  if (is_victim && arguments.fault == "main") throw std::runtime_error(fault_text(arguments));
  const nn::Model model = strategy.scope([&] { return make_model(arguments); });
  std::vector<nn::Callback> callbacks{nn::Callback(std::make_shared<Clock>(arguments.seconds))};
  const auto faults = callback_faults(arguments);
  if (const auto fault = faults.find(arguments.fault); is_victim && fault != faults.end())
    callbacks.push_back(nn::LambdaCallback(
        {.on_train_batch_end = [act = fault->second](int64_t batch, const nn::Logs&) {
          if (batch == 9) act();
        }}));
  if (is_victim && arguments.fault == "full_disk")
    callbacks.push_back(nn::CSVLogger{.filename = "/dev/full"});
  model.fit(make_dataset(arguments, is_victim),
            {.epochs = 1'000'000, .verbose = 0, .callbacks = callbacks});
  say("weights", model.fingerprint());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return train(parse(argc, argv));
  } catch (const cohort::Error& error) {
    say("error", fmt::format("{} {}", cohort::code_name(error.code()), error.what()));
  } catch (const std::exception& error) {
    say("error", error.what());
  }
  return 3;
}
