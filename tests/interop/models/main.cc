// Our side of tests/interop/random_models.py: reads cases, one in each line of the standard input,
// trains each on one device and on two replicas, and writes what came out, a line for each.
#include <algorithm>
#include <iostream>

#include "tests/interop/models/config.h"

namespace cohort::interop {

void Config::finish(const std::string& of) const {
  for (const auto& [name, value] : values_.items())
    if (std::find(asked_.begin(), asked_.end(), name) == asked_.end())
      throw InvalidArgument("description: {}: got argument {}; want one that is compared", of,
                            name);
}

Tensor tensor_of(const json& description) {
  Shape shape;
  for (const int64_t size : description.at("shape")) shape.push_back(size);
  if (description.at("dtype") == "int32")
    return Tensor::from(description.at("values").get<std::vector<int32_t>>(), shape);
  return Tensor::from(description.at("values").get<std::vector<float>>(), shape);
}

std::vector<Tensor> tensors_of(const json& descriptions) {
  std::vector<Tensor> tensors;
  for (const json& description : descriptions) tensors.push_back(tensor_of(description));
  return tensors;
}

namespace {

json json_of(const std::vector<Tensor>& tensors) {
  json lists = json::array();
  for (const Tensor& tensor : tensors) {
    const Tensor wide = tensor.cast(DType::kF64).contiguous();
    lists.push_back(
        std::vector<double>(wide.values<double>().begin(), wide.values<double>().end()));
  }
  return lists;
}

json json_of(const nn::Logs& logs) {
  json values = json::object();
  for (const auto& [name, value] : logs) values[name] = value;
  return values;
}

nn::FitOptions fit_options_of(const json& description, const json& data) {
  nn::FitOptions options{.batch_size = description.at("batch_size").get<int64_t>(),
                         .epochs = description.at("epochs"),
                         .verbose = 0,
                         .shuffle = false};
  const json class_weight = description.value("class_weight", json::object());
  for (const auto& [number, weight] : class_weight.items())
    options.class_weight[std::stoll(number)] = weight;
  options.sample_weight = tensors_of(data.value("sample_weight", json::array()));
  options.validation_data =
      nn::ValidationData(tensors_of(data.at("x_val")), tensors_of(data.at("y_val")));
  return options;
}

json train(const json& described) {
  nn::set_random_seed(1);
  const json& data = described.at("data");
  const nn::Model model = model_of(described.at("model"));
  model.set_weights(tensors_of(described.at("weights")));
  model.compile(compile_options_of(described.at("compile"), model.output_names()));
  const std::vector<Tensor> x = tensors_of(data.at("x")), x_val = tensors_of(data.at("x_val"));
  const nn::History history =
      model.fit(x, tensors_of(data.at("y")), fit_options_of(described.at("fit"), data));
  json epochs = json::object();
  for (const auto& [name, values] : history.history()) epochs[name] = values;
  const nn::Logs logs =
      model.evaluate(x_val, tensors_of(data.at("y_val")), {.batch_size = 4, .verbose = 0});
  return {{"history", epochs},
          {"evaluate", json_of(logs)},
          {"predictions", json_of(model.predict_all(x_val, {.batch_size = 4, .verbose = 0}))},
          {"weights", json_of(model.get_weights())}};
}

json train_on(const distribute::Strategy& strategy, const json& described) {
  try {
    return strategy.scope([&] { return train(described); });
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

}  // namespace
}  // namespace cohort::interop

int main() {
  using namespace cohort;
  default_runtime().set_logical_cpu_devices(2, 1);
  const distribute::Strategy one = distribute::OneDeviceStrategy("cpu:0");
  const distribute::Strategy two = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  for (std::string line; std::getline(std::cin, line);) {
    const auto described = interop::json::parse(line);
    const interop::json results{{"one device", interop::train_on(one, described)},
                                {"two replicas", interop::train_on(two, described)}};
    std::cout << results << std::endl;
  }
}
