#include "cohort/nn/saving/compile_configs.h"

#include "cohort/nn/internal/trainer.h"
#include "cohort/nn/saving/serialization.h"

namespace cohort::nn::internal {
namespace {

template <class T, class Write>
Config describe_each(const PerOutput<T>& given, size_t num_outputs, Write write) {
  if (given.empty()) return {};
  if (given.is_for_all() && num_outputs == 1) return write(given.values()[0]);
  if (!given.names().empty()) {
    Config named = Config::members();
    for (size_t i = 0; i < given.names().size(); ++i)
      named.set(given.names()[i], write(given.values()[i]));
    return named;
  }
  Config list = Config::list();
  for (size_t i = 0; i < (given.is_for_all() ? num_outputs : given.values().size()); ++i)
    list.push_back(write(given.values()[given.is_for_all() ? 0 : i]));
  return list;
}

Config describe_metrics(const MetricSpecs::List& metrics) {
  Config list = Config::list();
  for (const MetricSpec& each : metrics)
    list.push_back(each.metric().defined() ? serialize(each.metric()) : Config(each.name()));
  return list;
}
Config describe_metrics(const MetricSpecs& metrics) {
  if (metrics.empty()) return {};
  if (metrics.by_output().empty()) return describe_metrics(metrics.list());
  Config named = Config::members();
  for (const auto& [output, list] : metrics.by_output()) named.set(output, describe_metrics(list));
  return named;
}

bool is_class(const Config& config) { return config.find("class_name") && config.find("config"); }

Loss read_loss(const Config& config, const Reading& reading) {
  if (config.is_null()) return {};
  Loss loss;
  read_field(config, reading, loss);
  return loss;
}

template <class T, class Read>
PerOutput<T> read_each(const Config& config, Read read) {
  if (config.is_null()) return {};
  std::vector<T> values;
  std::vector<std::string> names;
  if (config.is_list()) {
    for (const Config& each : config.as_list()) values.push_back(read(each));
  } else if (config.is_object() && !is_class(config)) {
    for (const auto& [name, value] : config.as_object()) {
      names.push_back(name);
      values.push_back(read(value));
    }
  } else {
    return PerOutput<T>(read(config));
  }
  return PerOutput<T>::listed(std::move(values), std::move(names));
}

MetricSpec read_metric(const Config& config, const Reading& reading) {
  if (config.is_text()) return config.as_text();
  return read_object<Metric>(config, reading);
}
MetricSpecs::List read_metric_list(const Config& config, const Reading& reading) {
  if (config.is_null()) return {};
  if (!config.is_list()) return {read_metric(config, reading)};
  MetricSpecs::List list;
  for (const Config& each : config.as_list()) list.push_back(read_metric(each, reading));
  return list;
}

// One list, a list of them in the order of the outputs, or lists by the outputs' names.
MetricSpecs read_metrics(const Config& config, const std::vector<std::string>& outputs,
                         const Reading& reading) {
  std::vector<MetricSpecs::Entry> entries;
  if (config.is_object() && !is_class(config)) {
    for (const auto& [name, value] : config.as_object())
      entries.emplace_back(name, read_metric_list(value, reading));
    return MetricSpecs::of_outputs(std::move(entries));
  }
  bool nested = false;
  if (config.is_list())
    for (const Config& each : config.as_list()) nested |= each.is_list() || each.is_null();
  if (!nested) return read_metric_list(config, reading);
  const Config::List& lists = config.as_list();
  if (lists.size() != outputs.size())
    throw InvalidArgument("metrics: got {} lists for {} outputs; want one for each", lists.size(),
                          outputs.size());
  for (size_t i = 0; i < lists.size(); ++i)
    entries.emplace_back(outputs[i], read_metric_list(lists[i], reading));
  return MetricSpecs::of_outputs(std::move(entries));
}

}  // namespace

Config describe_compiled(const ModelImpl& model) {
  const CompileOptions& options = *model.compile_options();
  const size_t num_outputs = model.output_names().size();
  const auto number = [](double value) { return Config(value); };
  const auto loss = [](const Loss& each) { return each.defined() ? serialize(each) : Config(); };
  try {
    return Config::members(
        {{"optimizer", options.optimizer.defined() ? serialize(options.optimizer) : Config()},
         {"loss", describe_each(options.loss, num_outputs, loss)},
         {"loss_weights", describe_each(options.loss_weights, num_outputs, number)},
         {"metrics", describe_metrics(options.metrics)},
         {"weighted_metrics", describe_metrics(options.weighted_metrics)},
         {"run_eagerly", false},
         {"steps_per_execution", options.steps_per_execution},
         {"jit_compile", false}});
  } catch (const Error& error) {
    throw error.within(model.name() +
                       ": what compile() was given (include_optimizer = false "
                       "leaves it out)");
  }
}

CompileOptions read_compile_options(const Config& config, const std::vector<std::string>& outputs,
                                    const Reading& reading) {
  const auto member = [&](const char* name) {
    const Config* found = config.find(name);
    return found ? *found : Config();
  };
  CompileOptions options;
  if (const Config optimizer = member("optimizer"); !optimizer.is_null())
    read_field(optimizer, reading, options.optimizer);
  options.loss =
      read_each<Loss>(member("loss"), [&](const Config& each) { return read_loss(each, reading); });
  options.loss_weights = read_each<double>(member("loss_weights"),
                                           [](const Config& each) { return each.as_number(); });
  options.metrics = read_metrics(member("metrics"), outputs, reading);
  options.weighted_metrics = read_metrics(member("weighted_metrics"), outputs, reading);
  if (const Config steps = member("steps_per_execution"); steps.is_int())
    options.steps_per_execution = steps.as_int();
  return options;
}

}  // namespace cohort::nn::internal
