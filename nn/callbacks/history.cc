#include "cohort/nn/callbacks/history.h"

#include <algorithm>

namespace cohort::nn {

void HistoryImpl::on_train_begin() {
  epoch.clear();
  history.clear();
}

void HistoryImpl::on_epoch_end(int64_t number, const Logs& logs) {
  epoch.push_back(number);
  for (const auto& [name, value] : logs) {
    auto it = std::find_if(history.begin(), history.end(),
                           [&name = name](const auto& entry) { return entry.first == name; });
    if (it == history.end()) it = history.insert(history.end(), {name, {}});
    it->second.push_back(value);
  }
  std::sort(history.begin(), history.end());
}

void HistoryImpl::save_state(NamedTensors& state) const {
  state.set("epoch", epoch);
  std::vector<std::string> names;
  for (const auto& [name, values] : history) {
    state.set("values/" + std::to_string(names.size()), values);
    names.push_back(name);
  }
  state.set("names", names);
}

void HistoryImpl::load_state(const NamedTensors& state) {
  epoch = state.integers("epoch");
  history.clear();
  for (std::string& name : state.texts("names")) {
    std::vector<double> values = state.numbers("values/" + std::to_string(history.size()));
    history.emplace_back(std::move(name), std::move(values));
  }
}

History::History() : Callback(std::make_shared<HistoryImpl>()) {}

const std::vector<double>& History::operator[](const std::string& name) const {
  std::string names;
  for (const auto& [key, numbers] : history()) {
    if (key == name) return numbers;
    names += " " + key;
  }
  throw NotFound("history: got \"{}\"; want one of{}", name, names);
}

}  // namespace cohort::nn
