// A file pipeline: writes Fashion-MNIST as tf.Example records to several files, reads them in
// parallel and trains on them. In a job of several workers each reads its share of the files:
//   cohort-launch -n 2 build/release/examples/tfrecord
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "cohort/cohort.h"
#include "cohort/data/example.h"
#include "cohort/data/text.h"
#include "cohort/data/tfrecord.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;
using cohort::DType;
using cohort::Value;

namespace {

constexpr int kFiles = 8;
constexpr int64_t kBatch = 64;  // of all workers together

struct TemporaryFolder {
  TemporaryFolder() : path((std::filesystem::temp_directory_path() / "records-XXXXXX").string()) {
    if (!mkdtemp(path.data()))
      throw cohort::Unavailable("{}: could not be made; want a writable folder", path);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string path;
};

/// Element i of `images` becomes a record of file i mod kFiles.
void write_records(const data::Dataset& images, const std::string& prefix) {
  std::vector<data::TFRecordWriter> writers;
  for (int i = 0; i < kFiles; ++i)
    writers.emplace_back(prefix + "-" + std::to_string(i) + ".tfrecord");
  size_t next = 0;
  for (const data::Element& element : images.iterate())
    writers[next++ % kFiles].write(
        data::serialize_example({{"image", element[0]}, {"label", element[1].cast(DType::kI64)}}));
  for (data::TFRecordWriter& writer : writers) writer.close();
}

/// The examples of all files in batches: four files at a time are open, each read ahead by a
/// thread.
data::Dataset read_records(const std::string& prefix) {
  const auto read = [](const data::Element& name) {
    return data::Dataset::from_tfrecord({data::text_of(name[0])});
  };
  return data::Dataset::list_files({prefix + "-*.tfrecord"}, {.seed = 1})
      .interleave(read, {.cycle_length = 4, .num_parallel_calls = 4})
      .shuffle(4096)
      .parse_example({{.name = "image", .dtype = DType::kU8, .shape = {28, 28}},
                      {.name = "label", .dtype = DType::kI64}},
                     2)
      .cast(0, DType::kF32, 1.0 / 255)
      .batch(kBatch)
      .prefetch();
}

nn::Model make_model() {
  const nn::Sequential model({nn::Input({.shape = {28, 28}}), nn::Flatten{},
                              nn::Dense{.units = 128, .activation = "relu"},
                              nn::Dense{.units = 10}});
  model.compile({.optimizer = nn::Adam({.learning_rate = 1e-3}),
                 .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                 .metrics = {"accuracy"}});
  return model;
}

void train(int epochs) {
  const distribute::Strategy strategy = distribute::MultiWorkerMirroredStrategy();
  const TemporaryFolder folder;  // of each process; a real job has files that all can read
  const auto [train, test] = data::load_mnist_files("/usr/share/datasets/fashion-mnist");
  write_records(train, folder.path + "/train");
  write_records(test, folder.path + "/test");

  // By FILE: worker w of W reads files w, w + W, … and cuts their rows to its part of kBatch.
  const distribute::DistributedDataset batches = strategy.experimental_distribute_dataset(
      read_records(folder.path + "/train")
          .with_options({.auto_shard_policy = data::AutoShardPolicy::kFile}));
  const nn::Model model = strategy.scope(make_model);
  const cohort::Function step = cohort::function([model](Value images, Value labels) {
    const nn::Loss crossentropy = nn::SparseCategoricalCrossentropy{.from_logits = true};
    const Value loss = crossentropy(labels, model(images, {.training = true}));
    const std::vector<nn::Variable> weights = model.trainable_weights();
    model.optimizer().apply_gradients(nn::zip(nn::gradients(loss, weights), weights));
    return loss;
  });
  for (int epoch = 0; epoch < epochs; ++epoch) {
    auto pass = batches.iterate({.epoch = epoch});
    double total = 0;
    int64_t steps = 0;
    for (; const distribute::DistributedElement* batch = pass.next(); ++steps) {
      const auto losses = strategy.run(step, {(*batch)[0], (*batch)[1]});
      total += strategy.reduce(distribute::ReduceOp::kSum, losses[0]).item<double>();
    }
    if (strategy.is_chief())
      std::printf("epoch %d: %lld steps, loss %.4f\n", epoch + 1, static_cast<long long>(steps),
                  total / static_cast<double>(steps));
  }
  const nn::Logs result = model.evaluate(read_records(folder.path + "/test"), {.verbose = 0});
  if (strategy.is_chief()) std::printf("test accuracy: %.4f\n", result["accuracy"]);
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("tfrecord", [&] {
    int epochs = 3, end = 0;
    if (argc > 1 &&
        (argc != 3 || std::string(argv[1]) != "--epochs" ||
         std::sscanf(argv[2], "%d%n", &epochs, &end) != 1 || argv[2][end] || epochs < 1))
      throw cohort::InvalidArgument("got {}; want --epochs N, N from 1", argv[argc - 1]);
    train(epochs);
    return 0;
  });
}
