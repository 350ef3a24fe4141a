#include "cohort/nn/training_state.h"

#include "cohort/core/error.h"

namespace cohort::nn {
namespace {

constexpr size_t kMostEntries = size_t{1} << 20;

std::string numbered(const std::string& prefix, size_t number) {
  return prefix + std::to_string(number);
}

std::string one_text(const NamedTensors& in, const std::string& name) {
  std::vector<std::string> texts = in.texts(name);
  if (texts.size() != 1) throw DataLoss("state: {}: got {} texts; want 1", name, texts.size());
  return std::move(texts.front());
}

/// How many entries follow: no more than anybody has.
size_t count_of(const NamedTensors& in, const std::string& name) {
  const int64_t value = in.integer(name);
  if (value < 0 || value > static_cast<int64_t>(kMostEntries))
    throw DataLoss("state: {}: got {}; want 0 to {}", name, value, kMostEntries);
  return static_cast<size_t>(value);
}

void set_logs(NamedTensors& out, const std::vector<std::pair<std::string, double>>& logs) {
  std::vector<std::string> names;
  std::vector<double> values;
  for (const auto& [name, value] : logs) {
    names.push_back(name);
    values.push_back(value);
  }
  out.set("logs/names", names);
  out.set("logs/values", values);
}

std::vector<std::pair<std::string, double>> logs_of(const NamedTensors& in) {
  const std::vector<std::string> names = in.texts("logs/names");
  const std::vector<double> values = in.numbers("logs/values");
  if (names.size() != values.size())
    throw DataLoss("state: logs: got {} names and {} values; want equally many", names.size(),
                   values.size());
  std::vector<std::pair<std::string, double>> logs;
  for (size_t i = 0; i < names.size(); ++i) logs.emplace_back(names[i], values[i]);
  return logs;
}

TrainingState state_of(const NamedTensors& in) {
  TrainingState state{.fit = in.integer("fit"),
                      .epochs = in.integer("epochs"),
                      .epoch = in.integer("epoch"),
                      .batch = in.integer("batch"),
                      .stop_training = in.integer("stop_training") != 0,
                      .stop_wished = in.has("stop_wished") && in.integer("stop_wished") != 0,
                      .learning_rate_wished = in.has("learning_rate_wished")
                                                  ? std::optional(in.number("learning_rate_wished"))
                                                  : std::nullopt,
                      .finished = in.integer("finished") != 0,
                      .commit_number = in.integer("commit_number"),
                      .seed = static_cast<uint64_t>(in.integer("seed")),
                      .input = one_text(in, "input"),
                      .files = in.texts("files"),
                      .metrics = {},
                      .logs = logs_of(in),
                      .callbacks = {},
                      .callback_types = in.texts("callback_types"),
                      .history = in.all("history/"),
                      .finished_fits = {}};
  for (size_t i = 0, count = count_of(in, "num_metrics"); i < count; ++i)
    state.metrics.push_back(in.tensor(numbered("metrics/", i)));
  for (size_t i = 0, count = count_of(in, "num_callbacks"); i < count; ++i)
    state.callbacks.push_back(in.all(numbered("callbacks/", i) + "/"));
  for (size_t i = 0, count = count_of(in, "num_finished_fits"); i < count; ++i) {
    const NamedTensors fit = in.all(numbered("finished_fits/", i) + "/");
    state.finished_fits.push_back({.epochs = fit.integer("epochs"),
                                   .stopped = fit.integer("stopped") != 0,
                                   .history = fit.all("history/")});
  }
  if (state.callbacks.size() != state.callback_types.size())
    throw DataLoss("state: got {} callbacks of {} types; want equally many", state.callbacks.size(),
                   state.callback_types.size());
  if (state.fit < 0 || state.epoch < 0 || state.batch < 0 ||
      std::ssize(state.finished_fits) != state.fit + (state.finished ? 1 : 0))
    throw DataLoss(
        "state: got fit {} at epoch {}, batch {} with {} finished ones; want numbers that agree",
        state.fit, state.epoch, state.batch, state.finished_fits.size());
  return state;
}

}  // namespace

NamedTensors TrainingState::to_tensors() const {
  NamedTensors out;
  out.set("fit", fit);
  out.set("epochs", epochs);
  out.set("epoch", epoch);
  out.set("batch", batch);
  out.set("stop_training", int64_t{stop_training});
  if (stop_wished) out.set("stop_wished", int64_t{1});
  if (learning_rate_wished) out.set("learning_rate_wished", *learning_rate_wished);
  out.set("finished", int64_t{finished});
  out.set("commit_number", commit_number);
  out.set("seed", static_cast<int64_t>(seed));
  out.set("input", std::vector<std::string>{input});
  out.set("files", files);
  set_logs(out, logs);
  out.set_all("history/", history);
  out.set("num_metrics", std::ssize(metrics));
  for (size_t i = 0; i < metrics.size(); ++i) out.set(numbered("metrics/", i), metrics[i]);
  out.set("num_callbacks", std::ssize(callbacks));
  out.set("callback_types", callback_types);
  for (size_t i = 0; i < callbacks.size(); ++i)
    out.set_all(numbered("callbacks/", i) + "/", callbacks[i]);
  out.set("num_finished_fits", std::ssize(finished_fits));
  for (size_t i = 0; i < finished_fits.size(); ++i) {
    const std::string at = numbered("finished_fits/", i) + "/";
    out.set(at + "epochs", finished_fits[i].epochs);
    out.set(at + "stopped", int64_t{finished_fits[i].stopped});
    out.set_all(at + "history/", finished_fits[i].history);
  }
  NamedTensors prefixed;
  prefixed.set_all(kPrefix, out);
  return prefixed;
}

TrainingState TrainingState::from_tensors(const NamedTensors& tensors, const std::string& where) {
  try {
    return state_of(tensors.all(kPrefix));
  } catch (const Error& error) {
    throw error.within(where);
  }
}

}  // namespace cohort::nn
