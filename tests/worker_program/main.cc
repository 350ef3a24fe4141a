// One worker of a job, for tests/workers: `worker_program SCENARIO [DEVICES [REPLICAS
// [IMPLEMENTATION]]]`. What a test compares is printed as `name: value` lines. An error is printed
// as `error: CODE message`, and the exit code is 3.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

#include "cohort/cluster/job.h"
#include "cohort/cohort.h"
#include "tests/worker_program/cached_steps.h"
#include "tests/worker_program/checkpoints.h"
#include "tests/worker_program/fatal_saves.h"
#include "tests/worker_program/faults.h"
#include "tests/worker_program/metrics.h"
#include "tests/worker_program/say.h"
#include "tests/worker_program/training_steps.h"
#include "tests/worker_program/values.h"

namespace nn = cohort::nn;
namespace data = cohort::data;
namespace distribute = cohort::distribute;
using cohort::DType;
using cohort::Shape;
using cohort::Tensor;
using cohort::Value;

namespace {

struct Setting {
  distribute::Strategy strategy;
  std::string scenario;

  bool is(const char* name) const { return scenario == name; }
  bool rmsprop() const { return scenario.ends_with("_rmsprop"); }
  /// The scenarios that say what is in the slots, whoever has them.
  bool shows_slots() const {
    return scenario.starts_with("zero") || scenario.starts_with("replicated");
  }
  /// The scenarios in which one worker differs from the chief.
  bool odd() const { return !strategy.is_chief(); }
  /// The scenarios in which one worker fails.
  bool fails() const { return strategy.workers().index() == 1; }
};

Tensor pattern(Shape shape, uint32_t x) {
  Tensor t(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.num_elements(); ++i)
    t.data<float>()[i] =
        static_cast<float>((x = x * 1664525 + 1013904223) >> 8) / 16777216.f - 0.5f;
  return t;
}

/// The first words of the Error that `body` throws in a thread of its own.
std::string refusal(const std::function<void()>& body) {
  std::string text = "none";
  std::thread([&] {
    try {
      body();
    } catch (const cohort::Error& error) {
      text = error.what();
    }
  }).join();
  return text;
}

/// What the others of a job do together is tried by a second thread, in the middle of an epoch.
nn::Callback second_thread(const Setting& setting, const nn::Model& model) {
  return nn::LambdaCallback{.on_train_batch_end = [=](int64_t batch, const nn::Logs&) {
    if (batch != 1) return;
    say("second predict", refusal([&] { model.predict(pattern(Shape{13, 8, 8, 1}, 5)); }));
    say("second reduce", refusal([&] {
          setting.strategy.reduce(distribute::ReduceOp::kSum, Tensor::scalar(1.0f));
        }));
  }};
}

/// A model of each process alone, beside the job's, and what it may not do.
void apart(const Setting& setting, const nn::Model& jobs) {
  const auto compile = [](const nn::Model& model) {
    model.compile({.optimizer = "sgd", .loss = "mse"});
  };
  const nn::Model outside = nn::Sequential({nn::Input({.shape = {1}}), nn::Dense{.units = 1}});
  say("compile", refusal([&] { setting.strategy.scope([&] { compile(outside); }); }));
  compile(outside);
  const Tensor x = Tensor::full(DType::kF32, Shape{4, 1}, 1);
  outside.fit(x, x, {.verbose = 0});
  const nn::Model borrows =
      nn::Sequential({nn::Input({.shape = {8, 8, 1}}), jobs.layers().front()});
  compile(borrows);
  const Tensor images = pattern(Shape{2, 8, 8, 1}, 1);
  say("borrowed", refusal([&] { borrows.train_on_batch(images, borrows(images)); }));
}

/// After every step the chief, and nobody else, predicts with the job's weights and reads them. It
/// turns every other time to what comes first.
nn::Callback reading_alone(const Setting& setting, const nn::Model& model) {
  return nn::LambdaCallback{.on_train_batch_end = [=](int64_t batch, const nn::Logs&) {
    if (!setting.strategy.is_chief()) return;
    const auto predict = [&] {
      distribute::default_strategy().scope([&] {
        const nn::Model borrows = nn::Sequential(model.layers());
        say("predicted alone", borrows.predict(pattern(Shape{6, 8, 8, 1}, 9)));
      });
    };
    if (batch % 2 == 0) predict();
    say("after a step", model.fingerprint());
    if (batch % 2 == 1) predict();
  }};
}

/// After every third step each worker reads the weights, which may still be on their way to it and
/// to others, and writes half of them.
nn::Callback halving(const nn::Model& model) {
  return nn::LambdaCallback{.on_train_batch_end = [=](int64_t batch, const nn::Logs&) {
    if (batch % 3 != 2) return;
    std::vector<Tensor> weights = model.get_weights();
    for (Tensor& weight : weights)
      for (int64_t i = 0; i < weight.num_elements(); ++i) weight.data<float>()[i] /= 2;
    model.set_weights(weights);
  }};
}

std::vector<nn::Callback> callbacks(const Setting& setting, const nn::Model& model) {
  if (setting.is("second_thread")) return {second_thread(setting, model)};
  const distribute::Strategy& strategy = setting.strategy;
  const bool last = strategy.impl().first_replica() + 1 == strategy.num_replicas_in_sync();
  if (last && setting.is("killed")) return {raising(SIGKILL)};
  if (setting.odd() && setting.is("stopped")) return {raising(SIGSTOP)};
  if (setting.odd() && setting.is("stuck")) return {stuck()};
  if (setting.is("endless") || setting.is("suspended")) return {first_step()};
  if (setting.is("traced"))
    return {nn::StepTrace{.path = std::getenv("TRACE_PATH"), .first_step = 3, .num_steps = 4}};
  if (setting.shows_slots()) return {reading_alone(setting, model), halving(model)};
  if (setting.fails()) return {failing(setting.scenario)};
  return {};
}

/// Numbers of rows of a table of 300, some more than once in an example.
Tensor words(int64_t examples) {
  Tensor x(DType::kI32, Shape{examples, 4});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<int32_t>()[i] = static_cast<int32_t>(i * i * 7919 % 1009 % 50 * 6);
  return x;
}

data::Dataset make_dataset(const Setting& setting) {
  const int64_t rows = setting.is("large")                        ? 16
                       : setting.odd() && setting.is("less_data") ? 50
                                                                  : 70;
  Tensor y(DType::kI32, Shape{rows});
  for (int64_t i = 0; i < rows; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  if (setting.odd() && setting.is("wrong_label")) y = Tensor::full(DType::kI32, Shape{rows}, 77);
  const Tensor x = setting.is("embedding") ? words(rows) : pattern(Shape{rows, 8, 8, 1}, 1);
  data::Dataset dataset = data::Dataset::from_tensor_slices({x, y});
  if (setting.fails() && setting.is("throws_in_map"))
    dataset = dataset.map([](const data::Element&) -> data::Element {
      throw cohort::DataLoss("map: got a broken example");
    });
  if (setting.fails() && setting.is("exits_in_map"))
    dataset = dataset.map([](const data::Element&) -> data::Element { std::exit(0); }).prefetch();
  return dataset.shuffle(rows).batch(setting.odd() && setting.is("other_batch") ? 8 : 16);
}

nn::Model make_model(const Setting& setting) {
  if (setting.is("embedding"))
    return nn::Sequential({nn::Input({.shape = {4}, .dtype = DType::kI32}),
                           nn::Embedding{.input_dim = 300, .output_dim = 6}, nn::Flatten{},
                           nn::Dense{.units = 5}});
  if (setting.is("large"))  // 4.4 MB
    return nn::Sequential({nn::Input({.shape = {8, 8, 1}}), nn::Flatten{},
                           nn::Dense{.units = 16000, .activation = "tanh"}, nn::Dense{.units = 5}});
  if (setting.shows_slots())
    return nn::Sequential({nn::Input({.shape = {8, 8, 1}}), nn::Flatten{},
                           nn::Dense{.units = 200, .activation = "tanh"}, nn::Dense{.units = 5}});
  const int units = setting.odd() && setting.is("other_model") ? 7 : 6;
  if (setting.is("batch_norm"))
    return nn::Sequential({nn::Input({.shape = {8, 8, 1}}), nn::Flatten{}, nn::Dense{.units = 9},
                           nn::BatchNormalization{.synchronized = true}, nn::Activation("tanh"),
                           nn::Dense{.units = 7}, nn::BatchNormalization{}, nn::Dense{.units = 5}});
  return nn::Sequential(
      {nn::Input({.shape = {8, 8, 1}}),
       nn::Conv2D{.filters = units, .kernel_size = 3, .padding = "same", .activation = "relu"},
       nn::MaxPooling2D{}, nn::Dropout{.rate = 0.2}, nn::Flatten{}, nn::Dense{.units = 5}});
}

void fit(const Setting& setting) {
  const nn::Model model = setting.strategy.scope([&] {
    const nn::Model model = make_model(setting);
    nn::Optimizer optimizer = nn::Adam({.learning_rate = 1e-2});
    if (setting.is("embedding") || setting.is("large"))
      optimizer = nn::SGD({.learning_rate = 0.3, .global_clipnorm = 0.2});
    if (setting.rmsprop()) optimizer = nn::RMSprop({.learning_rate = 1e-2, .momentum = 0.5});
    model.compile({.optimizer = optimizer,
                   .loss = nn::SparseCategoricalCrossentropy{.from_logits = true},
                   .metrics = {"accuracy"}});
    return model;
  });
  if (setting.odd() && setting.is("other_start")) {
    std::vector<Tensor> weights = model.get_weights();
    weights.front() = pattern(weights.front().shape(), 99);
    model.set_weights(weights);
  }
  const data::Dataset dataset = make_dataset(setting);
  const int epochs = setting.is("endless") || setting.is("suspended") ? 1000000 : 2;
  const auto train = [&](const auto& data) {
    const nn::History history =
        model.fit(data, {.epochs = epochs, .verbose = 0, .callbacks = callbacks(setting, model)});
    if (setting.is("apart")) apart(setting, model);
    say("loss", fmt::format("{:.17g}", history["loss"].back()));
    say("accuracy", fmt::format("{:.17g}", history["accuracy"].back()));
    say("evaluated", fmt::format("{:.17g}", model.evaluate(data, {.verbose = 0})["loss"]));
  };
  if (setting.is("distributed") || (setting.odd() && setting.is("other_input")))
    train(setting.strategy.experimental_distribute_dataset(dataset));
  else
    train(dataset);
  const Tensor predicted =
      model.predict(setting.is("embedding") ? words(13) : pattern(Shape{13, 8, 8, 1}, 5));
  say("predicted", predicted);
  say("weights", model.fingerprint());
  say("commits", std::to_string(setting.strategy.commit_number()));
  if (!setting.shows_slots()) return;
  for (const nn::Variable& slot : model.optimizer().variables())
    if (slot.shape().rank() == 1) say(slot.path().c_str(), slot.value());
}

/// A loop of the user's own: y = 3 a - 2 b + 1.
void custom_loop(const Setting& setting) {
  const distribute::Strategy& strategy = setting.strategy;
  const Tensor x = pattern(Shape{50, 2}, 3);
  Tensor y(DType::kF32, Shape{50, 1});
  for (int64_t i = 0; i < 50; ++i)
    y.data<float>()[i] = 3 * x.data<float>()[2 * i] - 2 * x.data<float>()[2 * i + 1] + 1;
  const auto batches = strategy.experimental_distribute_dataset(
      data::Dataset::from_tensor_slices({x, y}).shuffle(50).batch(16));
  const auto [model, optimizer] = strategy.scope([] {
    return std::pair(nn::Sequential({nn::Input({.shape = {2}}), nn::Dense{.units = 1}}),
                     nn::Optimizer(nn::SGD{.learning_rate = 0.2}));
  });
  const cohort::Function step = cohort::function(
      [model = model, optimizer = optimizer](Value x, Value y) {
        const Value losses = cohort::ops::squared_difference(model(x, {.training = true}), y);
        const Value loss = nn::compute_average_loss(losses);
        const auto weights = model.trainable_weights();
        optimizer.apply_gradients(nn::zip(nn::gradients(loss, weights), weights));
        return loss;
      },
      "step");
  const cohort::Function check = cohort::function(
      [model = model](Value x, Value y) {
        const Value losses = cohort::ops::squared_difference(model(x, {.training = false}), y);
        return distribute::get_replica_context().all_reduce(distribute::ReduceOp::kSum,
                                                            nn::compute_average_loss(losses));
      },
      "check");
  const int last_epoch = setting.odd() && setting.is("ends_early") ? 1 : 2;
  double total = 0;
  for (int epoch = 0; epoch <= last_epoch; ++epoch) {
    auto iterator = batches.iterate({.epoch = epoch});
    while (const distribute::DistributedElement* batch = iterator.next()) {
      const bool other = setting.odd() && setting.is("other_function") && epoch == 2;
      const auto losses = strategy.run(other ? check : step, {(*batch)[0], (*batch)[1]});
      total += strategy.reduce(distribute::ReduceOp::kSum, losses[0]).item<double>();
      if (setting.is("other_function")) strategy.run(check, {(*batch)[0], (*batch)[1]});
    }
  }
  if (setting.is("ends_early")) strategy.reduce(distribute::ReduceOp::kSum, Tensor::scalar(1.0f));
  say("total", fmt::format("{:.9g}", total));
  say("weights", model.fingerprint());
}

/// From now on this process dies as soon as it makes the call.
void die_at_call(int number) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),  // the call's number
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof code / sizeof code[0], code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    throw cohort::Unavailable("worker_program: no seccomp here");
}

int worker() {
  return cohort::cluster::resolve_job(cohort::cluster::Environment::of_process()).self;
}

/// The two workers of a job that the program knows, and the environment does not.
std::shared_ptr<const cohort::cluster::ClusterResolver> own_resolver() {
  using namespace cohort::cluster;
  const int self = worker();
  unsetenv("OMPI_COMM_WORLD_RANK");
  setenv("COHORT_JOB_ID", fmt::format("own-resolver-{}", getppid()).c_str(), 1);
  return std::make_shared<SimpleClusterResolver>(
      ClusterSpec({{"worker", {"127.0.0.1:0", "127.0.0.1:0"}}}),
      SimpleClusterOptions{.task_type = "worker", .task_id = self});
}

distribute::Sharding sharding_of(const std::string& scenario) {
  if (scenario.starts_with("zero2")) return distribute::Sharding::kZero2;
  if (scenario.starts_with("zero1") || scenario.starts_with("sharded_"))
    return distribute::Sharding::kZero1;
  return distribute::Sharding::kNone;
}

void run(int argc, char** argv) {
  const int devices = argc > 2 ? std::atoi(argv[2]) : 1;
  const int replicas = argc > 3 ? std::atoi(argv[3]) : 0;
  const std::string scenario = argc > 1 ? argv[1] : "";
  const auto implementation =
      distribute::parse_communication_implementation(argc > 4 ? argv[4] : "auto");
  if (const char* lesser = std::getenv("LESSER_WORKER"); lesser && std::atoi(lesser) == worker())
    setenv("COHORT_SIMD", "baseline", 1);
  cohort::default_runtime().set_logical_cpu_devices(devices, 1);
  nn::set_random_seed(7);
  const int patience = scenario == "stuck" ? 3 : scenario == "large" ? 5 : 600;
  const bool rounds = scenario == "rounded" || (scenario == "other_rounding" && worker() == 1);
  // Once it has its seat, and before the processes of the host have met.
  if ((scenario == "dies_meeting" && worker() == 1) ||
      (scenario == "leader_dies_meeting" && worker() == 0))
    die_at_call(SYS_pidfd_open);
  const Setting setting{
      distribute::MultiWorkerMirroredStrategy(
          {.cluster_resolver = scenario == "own_resolver" ? own_resolver() : nullptr,
           .num_replicas = replicas,
           .communication_options = {.bytes_per_pack = 2000,
                                     .timeout = std::chrono::seconds(patience),
                                     .implementation = implementation,
                                     .gradient_dtype =
                                         rounds ? cohort::DType::kBF16 : cohort::DType::kF32},
           .sharding = sharding_of(scenario),
           .startup_timeout = std::chrono::seconds(scenario == "unreachable" ? 12 : 60)}),
      scenario};
  say("chief", setting.strategy.is_chief() ? "yes" : "no");
  if (setting.fails() && setting.is("exits")) std::exit(0);
  if (setting.fails() && setting.is("returns")) return;
  if (setting.fails() && setting.is("throws_in_main")) throw std::runtime_error("of main");
  if (setting.odd() && setting.is("other_seed")) nn::set_random_seed(8);
  if (setting.is("custom_loop") || setting.is("ends_early") || setting.is("other_function"))
    custom_loop(setting);
  else if (setting.is("values"))
    cohort::reduce_values(setting.strategy);
  else if (setting.is("on_read"))
    cohort::read_copies(setting.strategy);
  else if (setting.is("cached_steps"))
    cached_steps(setting.strategy);
  else if (setting.is("checkpoints") || setting.is("sharded_checkpoints"))
    checkpoints(setting.strategy);
  else if (scenario == "interrupted_fit" || scenario == "sharded_interrupted_fit")
    interrupted_fit(setting.strategy, argc > 5 ? argv[5] : "");
  else if (scenario.starts_with("fatal_"))
    scenario == "fatal_fits" ? fatal_fits(setting.strategy) : fatal_saves(setting.strategy);
  else if (setting.is("resumed_checkpoints"))
    resumed_checkpoints(setting.strategy);
  else if (setting.is("unshared_checkpoints"))
    unshared_checkpoints(setting.strategy);
  else if (scenario.find("wish") != std::string::npos)
    cohort::fit_with_wishes(setting.strategy, scenario);
  else if (setting.is("weights_files"))
    weights_files(setting.strategy);
  else if (setting.is("metrics"))
    cohort::fit_with_metrics(setting.strategy);
  else if (setting.is("own_steps"))
    cohort::fit_with_own_steps(setting.strategy);
  else if (setting.is("float16") || setting.is("zero1_float16"))
    cohort::fit_in_float16(setting.strategy);
  else
    fit(setting);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
  } catch (const cohort::Error& error) {
    say("error", fmt::format("{} {}", cohort::code_name(error.code()), error.what()));
    return 3;
  } catch (const std::exception& error) {
    say("error", cohort::describe(error));
    return 4;
  } catch (int number) {
    say("error", std::to_string(number));
    return 5;
  }
}
