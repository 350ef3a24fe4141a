#include "tests/worker_program/checkpoints.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "cohort/core/wire/hash.h"
#include "tests/worker_program/say.h"

namespace nn = cohort::nn;
using cohort::DType;
using cohort::Shape;
using cohort::Tensor;

namespace {

cohort::data::Dataset examples() {
  Tensor x(DType::kF32, Shape{70, 6}), y(DType::kI32, Shape{70});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>((i * 7919) % 101) / 101 - 0.5f;
  for (int64_t i = 0; i < 70; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  return cohort::data::Dataset::from_tensor_slices({x, y}).shuffle(70).batch(16);
}

/// Of the lines of files: each is a number.
cohort::data::Dataset examples_of_lines() {
  const std::string folder = std::getenv("EXAMPLES_PATH");
  std::vector<std::string> files;
  for (int i = 0; i < 6; ++i) files.push_back(fmt::format("{}/{}.txt", folder, i));
  return cohort::data::Dataset::from_text_lines(files)
      .map([](const cohort::data::Element& line) -> cohort::data::Element {
        const int number = std::stoi(cohort::data::text_of(line[0]));
        Tensor x(DType::kF32, Shape{6});
        for (int i = 0; i < 6; ++i)
          x.data<float>()[i] = static_cast<float>((number * 6 + i) * 7919 % 101) / 101 - 0.5f;
        return {x, Tensor::scalar<int32_t>(number * 3 % 5)};
      })
      .shuffle(9)
      .batch(16);
}

/// Examples as the strategy's input pipelines share them: by DATA, FILE, OFF, or as a function
/// says.
cohort::distribute::DistributedDataset distributed_examples(
    const cohort::distribute::Strategy& strategy, const std::string& input) {
  using cohort::data::AutoShardPolicy;
  if (input == "function")
    return strategy.distribute_datasets_from_function(
        [](const cohort::distribute::InputContext& context) {
          return examples()
              .unbatch()
              .shard(context.num_input_pipelines, context.input_pipeline_id)
              .shuffle(9)
              .batch(2);
        });
  if (input == "file") return strategy.experimental_distribute_dataset(examples_of_lines());
  return strategy.experimental_distribute_dataset(examples().with_options(
      {.auto_shard_policy = input == "off" ? AutoShardPolicy::kOff : AutoShardPolicy::kData}));
}

/// Ends this process as INTERRUPTION says.
nn::Callback interruption(const cohort::distribute::Strategy& strategy) {
  int worker = -1, batches = 0, signal = 0, seen = 0;
  if (const char* text = std::getenv("INTERRUPTION"))
    std::sscanf(text, "%d %d %d", &worker, &batches, &signal);
  const bool is_mine = strategy.workers().index() == worker;
  return nn::LambdaCallback({.on_train_batch_end = [=](int64_t, const nn::Logs&) mutable {
    if (++seen == batches && is_mine) raise(signal);
  }});
}

}  // namespace

nn::Model make_saved_model() {
  nn::set_random_seed(7);
  nn::Sequential model({nn::Dense{.units = 8, .activation = "relu"}, nn::BatchNormalization{},
                        nn::Dropout{.rate = 0.3}, nn::Dense{.units = 5}});
  model.compile(
      {.optimizer = nn::Adam(), .loss = nn::SparseCategoricalCrossentropy{.from_logits = true}});
  return model;
}

void train_saved_model(const nn::Model& model, int64_t epoch) {
  model.fit(examples(), {.epochs = epoch + 1, .verbose = 0, .initial_epoch = epoch});
}

void fit_saved_model(const nn::Model& model, int64_t epochs, std::vector<nn::Callback> callbacks) {
  model.fit(examples(), {.epochs = epochs, .verbose = 0, .callbacks = std::move(callbacks)});
}

void interrupted_fit(const cohort::distribute::Strategy& strategy, const std::string& input) {
  const nn::Model model = strategy.scope(make_saved_model);
  const nn::FitOptions options{
      .epochs = 3,
      .verbose = 0,
      .callbacks = {nn::BackupAndRestore({.backup_dir = std::getenv("CHECKPOINT_PATH"),
                                          .save_freq = 2,
                                          .delete_checkpoint = false,
                                          .save_before_preemption = true}),
                    interruption(strategy)}};
  const nn::History history = input.empty()
                                  ? model.fit(examples().prefetch(), options)
                                  : model.fit(distributed_examples(strategy, input), options);
  say("weights", model.fingerprint());
  std::string losses;
  for (const double loss : history["loss"]) losses += fmt::format("{} ", loss);
  say("losses", losses);
  say("commits", std::to_string(strategy.commit_number()));
}

void checkpoints(const cohort::distribute::Strategy& strategy) {
  const std::string directory = std::getenv("CHECKPOINT_PATH");
  const nn::Model model = strategy.scope(make_saved_model);
  train_saved_model(model, 0);
  const std::string path = nn::Checkpoint({{"model", model}}).save(directory);
  train_saved_model(model, 1);
  say("weights", model.fingerprint());
  const nn::Model again = strategy.scope(make_saved_model);
  const nn::RestoreStatus status = nn::Checkpoint({{"model", again}}).restore(directory);
  train_saved_model(again, 1);
  status.assert_consumed();
  say("resumed", again.fingerprint());
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path))
    files += entry.path().extension() == ".safetensors";
  say("files", std::to_string(files));
  // All are told of an error, and the job goes on.
  try {
    nn::Checkpoint({{"model", model}}).save(directory, {.step = status.step()});
  } catch (const cohort::Error& error) {
    say("refused", std::string(cohort::code_name(error.code())));
  }
  train_saved_model(model, 2);
  say("at last", model.fingerprint());
}

void resumed_checkpoints(const cohort::distribute::Strategy& strategy) {
  const nn::Model model = strategy.scope(make_saved_model);
  const auto status = nn::Checkpoint({{"model", model}}).restore(std::getenv("CHECKPOINT_PATH"));
  train_saved_model(model, 1);
  status.assert_consumed();
  say("resumed", model.fingerprint());
}

void unshared_checkpoints(const cohort::distribute::Strategy& strategy) {
  const std::string directory = std::string(std::getenv("CHECKPOINT_PATH")) + "/" +
                                std::to_string(strategy.workers().index());
  std::filesystem::create_directory(directory);
  const nn::Model model = strategy.scope(make_saved_model);
  train_saved_model(model, 0);
  nn::Checkpoint({{"model", model}}).save(directory);
}

void weights_files(const cohort::distribute::Strategy& strategy) {
  const std::string directory = std::getenv("CHECKPOINT_PATH");
  const std::string first = directory + "/first.weights.h5",
                    second = directory + "/second.weights.h5";
  const nn::Model model = strategy.scope(make_saved_model);
  train_saved_model(model, 0);
  model.save_weights(first);
  train_saved_model(model, 1);
  model.save_weights(second);
  say("weights", model.fingerprint());
  const nn::Model again = strategy.scope(make_saved_model);
  train_saved_model(again, 0);
  again.load_weights(second);
  say("loaded", again.fingerprint());
  const auto refused = [](const char* name, const auto& call) {
    try {
      call();
    } catch (const cohort::Error& error) {
      say(name, std::string(cohort::code_name(error.code())));
    }
  };
  refused("lacking", [&] { again.load_weights(directory + "/none.weights.h5"); });
  refused("there", [&] { again.save_weights(first, {.overwrite = false}); });
  const std::string exported = directory + "/exported";
  model.export_to(exported);
  refused("exported", [&] { model.export_to(exported, {.overwrite = false}); });
  const Tensor y = cohort::load_function(exported)(Tensor::full(DType::kF32, Shape{3, 6}, 0.25))[0];
  say("served",
      cohort::wire::hash128({static_cast<const char*>(y.raw()), y.num_bytes()}).to_string());
  refused("different",
          [&] { again.load_weights(strategy.workers().index() == 0 ? first : second); });
  again.load_weights(second);
  train_saved_model(again, 2);
  train_saved_model(model, 2);
}
