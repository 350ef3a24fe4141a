#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cohort/nn/callback.h"

namespace cohort::nn {

class HistoryImpl : public CallbackImpl {
 public:
  bool same_on_all_workers() const override { return true; }
  void on_train_begin() override;
  void on_epoch_end(int64_t epoch, const Logs& logs) override;
  void save_state(NamedTensors& state) const override;
  /// Throws DataLoss for what save_state() has not made.
  void load_state(const NamedTensors& state) override;

  std::vector<int64_t> epoch;
  std::vector<std::pair<std::string, std::vector<double>>> history;
};

/// What fit returns: the logs of every epoch.
class History : public Callback {
 public:
  History();

  const std::vector<int64_t>& epoch() const { return values().epoch; }
  /// Names and values, in alphabetical order.
  const std::vector<std::pair<std::string, std::vector<double>>>& history() const {
    return values().history;
  }
  /// One value for each epoch; throws NotFound that lists the names.
  const std::vector<double>& operator[](const std::string& name) const;

 private:
  HistoryImpl& values() const { return static_cast<HistoryImpl&>(impl()); }
};

}  // namespace cohort::nn
