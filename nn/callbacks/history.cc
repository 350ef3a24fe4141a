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
