// The distributed programs of tf.distribute's guides, with their names: short data, whole programs.
#include <gtest/gtest.h>

#include <map>

#include "cohort/cohort.h"

namespace {

using namespace cohort;
using namespace cohort::nn;
using namespace cohort::distribute;
using cohort::cluster::Server;
using cohort::cluster::TFConfigClusterResolver;
using cohort::data::Dataset;

/// Rows whose largest elements say the class.
std::pair<Tensor, Tensor> make_data(int64_t rows) {
  Tensor x(DType::kF32, {rows, 784}), y(DType::kI32, {rows});
  for (int64_t i = 0; i < rows; ++i) {
    y.data<int32_t>()[i] = static_cast<int32_t>(i * 7 % 10);
    for (int64_t k = 0; k < 784; ++k)
      x.data<float>()[784 * i + k] =
          k / 78 == y.data<int32_t>()[i] ? 1.0f : static_cast<float>((i + k) % 5) / 20;
  }
  return {x, y};
}

/// What training on `rows` has made of it.
void expect_learned(const Model& model, const History& history) {
  const auto [x_test, y_test] = make_data(50);
  EXPECT_LT(history["loss"].back(), history["loss"].front());
  EXPECT_GT(model.evaluate(x_test, y_test, {.verbose = 0})["accuracy"], 0.9);
}

TEST(DistributedProgramsTest, MirroredStrategyOnADistributedDataset) {
  set_random_seed(1);
  const auto [x_train, y_train] = make_data(640);

  // Define strategy
  const auto strategy = MirroredStrategy();

  // Define the model within the strategy's scope
  const Model model = strategy.scope([] {
    const Sequential model({Input({.shape = {784}}), Dense{.units = 128, .activation = "relu"},
                            Dense{.units = 10, .activation = "softmax"}});
    model.compile(
        {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
    return model;
  });

  // Create a dataset and distribute it
  const int64_t batch_size = 64;
  const auto dataset = Dataset::from_tensor_slices({x_train, y_train}).batch(batch_size);
  const auto dist_dataset = strategy.experimental_distribute_dataset(dataset);

  // Train the model
  const History history = model.fit(dist_dataset, {.epochs = 5, .verbose = 0});
  EXPECT_EQ(strategy.num_replicas_in_sync(), 2);
  expect_learned(model, history);
}

TEST(DistributedProgramsTest, MultiWorkerMirroredStrategyOnADistributedDataset) {
  set_random_seed(1);
  const auto [x_train, y_train] = make_data(640);

  // Initialize MultiWorkerMirroredStrategy
  const auto strategy = MultiWorkerMirroredStrategy(
      {.cluster_resolver = std::make_shared<TFConfigClusterResolver>()});

  // Create the model inside the strategy's scope
  const Model model = strategy.scope([] {
    const Sequential model(
        {Dense{.units = 128, .activation = "relu"}, Dense{.units = 10, .activation = "softmax"}});
    model.compile(
        {.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
    return model;
  });

  // Set up the dataset
  const auto dataset = Dataset::from_tensor_slices({x_train, y_train}).batch(64);

  // Distribute the dataset across workers
  const auto distributed_dataset = strategy.experimental_distribute_dataset(dataset);

  // Train the model
  expect_learned(model, model.fit(distributed_dataset, {.epochs = 10, .verbose = 0}));
}

TEST(DistributedProgramsTest, AServerOfAResolver) {
  // Create a cluster with workers and parameter servers
  const std::map<std::string, std::string> variables{
      {"TF_CONFIG", R"({"cluster": {"worker": ["localhost:0", "localhost:0"],
                                    "ps": ["localhost:0"]},
                        "task": {"type": "worker", "index": 1}})"}};
  const TFConfigClusterResolver cluster_resolver{cluster::Environment(variables)};

  // Access details of the cluster
  EXPECT_EQ(cluster_resolver.cluster_spec().to_string(),
            "ClusterSpec({'ps': ['localhost:0'], 'worker': ['localhost:0', 'localhost:0']})");
  EXPECT_EQ(cluster_resolver.task_type(), "worker");
  EXPECT_EQ(cluster_resolver.task_id(), 1);

  // Initialize server for distributed computation; start() would wait for its peers' ports
  const Server server(cluster_resolver, {.protocol = "grpc", .start = false, .job_id = "programs"});
  EXPECT_EQ(server.task(), (cluster::Task{"worker", 1}));
}

}  // namespace
