#include <csignal>
#include <cstdlib>

#include "tests/worker_program/say.h"
#include "tests/worker_program/training_steps.h"

namespace cohort {
namespace {

data::Dataset batches(int64_t count) {
  const int64_t rows = 8 * count;
  Tensor x(DType::kF32, Shape{rows, 6}), y(DType::kF32, Shape{rows, 2});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>((i * 7919) % 101) / 101 - 0.5f;
  for (int64_t i = 0; i < y.num_elements(); ++i)
    y.data<float>()[i] = static_cast<float>((i * 31) % 17) / 17;
  return data::Dataset::from_tensor_slices({x, y}).batch(8);
}

nn::Model make_model(const distribute::Strategy& strategy, int64_t steps_per_execution = 1) {
  return strategy.scope([&] {
    nn::Sequential model({nn::Dense{.units = 4}, nn::Dense{.units = 2}});
    model.compile({.optimizer = nn::SGD{.learning_rate = 0.5},
                   .loss = "mse",
                   .steps_per_execution = steps_per_execution});
    return model;
  });
}

bool is_last(const distribute::Strategy& strategy) {
  return strategy.workers().index() == strategy.workers().count() - 1;
}

/// Workers that count what fit exchanges besides its steps.
class CountingWorkers final : public distribute::Workers {
 public:
  explicit CountingWorkers(distribute::Workers& workers) : workers_(workers) {}
  int count() const override { return workers_.count(); }
  int index() const override { return workers_.index(); }
  std::string name_of(int worker) const override { return workers_.name_of(worker); }
  using Workers::all_gather;
  std::vector<std::string> all_gather(std::string_view label, std::string_view mine) override {
    ++num_exchanges;
    return workers_.all_gather(label, mine);
  }
  OneThread::Entered enter(const char* what) override { return workers_.enter(what); }
  std::shared_ptr<void> watch(Communicator& communicator) override {
    return workers_.watch(communicator);
  }
  void report_error(const Error& error) override { workers_.report_error(error); }
  Error explain(const Error& error) override { return workers_.explain(error); }
  void enter_call() override { workers_.enter_call(); }

  int64_t num_exchanges = 0;

 private:
  distribute::Workers& workers_;
};

/// A strategy whose workers count.
class Counting final : public distribute::Strategy::Impl {
 public:
  explicit Counting(const distribute::Strategy& strategy)
      : strategy_(strategy), workers_(strategy.workers()) {}
  const std::string& name() const override { return strategy_.name(); }
  int num_replicas_in_sync() const override { return strategy_.num_replicas_in_sync(); }
  int first_replica() const override { return strategy_.impl().first_replica(); }
  int num_local_replicas() const override { return strategy_.num_local_replicas(); }
  CountingWorkers& workers() override { return workers_; }
  int num_input_pipelines() const override { return strategy_.impl().num_input_pipelines(); }
  std::vector<std::string> devices() const override { return strategy_.devices(); }
  Trace place(const Trace& trace, int64_t batch_size) override {
    return strategy_.impl().place(trace, batch_size);
  }
  std::unique_ptr<distribute::StepRunner> make_runner(const Trace& placed,
                                                      int64_t batch_size) override {
    return strategy_.impl().make_runner(placed, batch_size);
  }
  distribute::StepCache& step_cache() override { return strategy_.impl().step_cache(); }

 private:
  const distribute::Strategy strategy_;
  CountingWorkers workers_;
};

void say_exchanges(const distribute::Strategy& strategy) {
  const auto counting = std::make_shared<Counting>(strategy);
  const nn::Model model = make_model(distribute::Strategy(counting));
  const auto exchanges = [&](int64_t count, const std::vector<nn::Callback>& callbacks) {
    const int64_t before = counting->workers().num_exchanges;
    model.fit(batches(count), {.verbose = 0, .callbacks = callbacks});
    return counting->workers().num_exchanges - before;
  };
  exchanges(4, {});  // the step is made
  const nn::LambdaCallback idle({.on_train_batch_end = [](int64_t, const nn::Logs&) {}});
  const auto more = [&](const std::vector<nn::Callback>& callbacks) {
    exchanges(4, callbacks);  // what the first one alone does
    const int64_t few = exchanges(4, callbacks);
    return exchanges(24, callbacks) - few;
  };
  say("exchanges of 20 steps", std::to_string(more({})));
  say("with callbacks", std::to_string(more({idle})));
  const std::string directory = std::getenv("CHECKPOINT_PATH");
  say("with signals", std::to_string(more({nn::PreemptionCheckpointHandler{directory}})));
  // What they look at is the only other thing that is sent.
  const nn::LambdaCallback asks({.on_train_batch_end = [&](int64_t batch, const nn::Logs&) {
    if (batch == 1 && strategy.is_chief()) model.optimizer().set_learning_rate(0.25);
  }});
  say("with a wish", std::to_string(exchanges(24, {asks}) - exchanges(24, {idle})));
}

void say_stops(const distribute::Strategy& strategy, const char* name, int64_t stride) {
  const nn::Model model = make_model(strategy, stride);
  int64_t ended = 0;
  model.fit(
      batches(12),
      {.epochs = 3,
       .verbose = 0,
       .callbacks = {nn::LambdaCallback({.on_train_batch_end = [&](int64_t batch, const nn::Logs&) {
         ++ended;
         if (batch == 2 * stride - 1 && is_last(strategy)) model.set_stop_training(true);
       }})}});
  say(name, fmt::format("{} hooks, {} steps", ended, model.optimizer().iterations()));
}

/// The learning rate of every batch.
std::string rates(const nn::Model& model, const std::function<void(int64_t)>& epoch_begin,
                  const std::function<void(int64_t)>& batch_end) {
  std::string text;
  model.fit(
      batches(5),
      {.epochs = 2,
       .verbose = 0,
       .callbacks = {nn::LambdaCallback(
           {.on_epoch_begin = epoch_begin,
            .on_train_batch_begin =
                [&](int64_t batch) {
                  if (batch > 0) text += fmt::format("{} ", model.optimizer().learning_rate());
                },
            .on_train_batch_end = [&](int64_t batch, const nn::Logs&) { batch_end(batch); }})}});
  return text;
}

void say_rates(const distribute::Strategy& strategy) {
  const nn::Model model = make_model(strategy);
  const auto nothing = [](int64_t) {};
  say("chief's rates", rates(model, nothing, [&](int64_t batch) {
        if (batch == 1 && strategy.is_chief()) model.optimizer().set_learning_rate(0.25);
      }));
  say("another's rates", rates(model, nothing, [&](int64_t) {
        if (!strategy.is_chief()) model.optimizer().set_learning_rate(0.75);
      }));
  say("an epoch's rates", rates(
                              model,
                              [&](int64_t epoch) {
                                if (strategy.is_chief())
                                  model.optimizer().set_learning_rate(epoch == 0 ? 0.125 : 0.0625);
                              },
                              nothing));
  say("weights", model.fingerprint());
}

void tell_wishes(const distribute::Strategy& strategy) {
  say_exchanges(strategy);
  say_stops(strategy, "stopped", 1);
  say_stops(strategy, "stopped in twos", 2);
  say_rates(strategy);
}

void interrupted_wishes(const distribute::Strategy& strategy) {
  const nn::Model model = make_model(strategy);
  int worker = -1, victim_epoch = -1, victim_batch = -1;
  if (const char* text = std::getenv("INTERRUPTION"))
    std::sscanf(text, "%d %d %d", &worker, &victim_epoch, &victim_batch);
  int64_t epoch = 0;
  const auto begin = [&](int64_t number) { epoch = number; };
  const auto end = [&](int64_t batch, const nn::Logs&) {
    if (epoch == 0 && batch == 1 && strategy.is_chief()) model.optimizer().set_learning_rate(0.125);
    if (epoch == 1 && batch == 2 && is_last(strategy)) model.set_stop_training(true);
    if (strategy.workers().index() == worker && epoch == victim_epoch && batch == victim_batch)
      raise(SIGKILL);
  };
  model.fit(
      batches(6),
      {.epochs = 3,
       .verbose = 0,
       .callbacks = {nn::BackupAndRestore({.backup_dir = std::getenv("CHECKPOINT_PATH"),
                                           .save_freq = 1,
                                           .delete_checkpoint = false}),
                     nn::LambdaCallback({.on_epoch_begin = begin, .on_train_batch_end = end})}});
  say("weights", model.fingerprint());
  say("losses", fmt::format("{}", model.optimizer().learning_rate()));
  say("commits", std::to_string(strategy.commit_number()));
}

void dying_wish(const distribute::Strategy& strategy) {
  const nn::Model model = make_model(strategy);
  const auto end = [&](int64_t batch, const nn::Logs&) {
    if (!is_last(strategy)) return;
    if (batch == 2) model.set_stop_training(true);
    if (batch == 3) raise(SIGKILL);
  };
  model.fit(batches(12),
            {.verbose = 0, .callbacks = {nn::LambdaCallback({.on_train_batch_end = end})}});
}

}  // namespace

void fit_with_wishes(const distribute::Strategy& strategy, const std::string& scenario) {
  if (scenario == "wishes")
    tell_wishes(strategy);
  else if (scenario == "interrupted_wishes")
    interrupted_wishes(strategy);
  else
    dying_wish(strategy);
}

}  // namespace cohort
