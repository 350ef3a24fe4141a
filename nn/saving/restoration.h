#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cohort/nn/saving/checkpoint.h"

namespace cohort::nn::internal {

/// A checkpoint whose values objects take: those that are there at once, others when they are made.
/// Does not keep the objects.
class Restoration final : public PartsObserver, public std::enable_shared_from_this<Restoration> {
 public:
  Restoration(std::unique_ptr<checkpoint::SavedState> state,
              std::vector<checkpoint::Skipped> skipped, const TrackedObjects& objects);

  /// Throws InvalidArgument, listing names, where dtypes or shapes differ; nothing has changed
  /// then.
  void begin();
  void parts_made() override;

  const std::string& path() const { return path_; }
  uint64_t step() const { return step_; }
  const std::vector<checkpoint::Skipped>& skipped() const { return skipped_; }
  const std::optional<TrainingState>& training() const { return training_; }
  const std::vector<std::pair<std::string, std::string>>& facts() const { return facts_; }
  std::vector<std::string> missing() const { return {missing_.begin(), missing_.end()}; }
  std::vector<std::string> unused() const { return {unused_.begin(), unused_.end()}; }
  void expect_partial() { is_expected_ = true; }
  /// What is to be warned of; empty: nothing.
  std::string warning() const;

 private:
  using Weak = std::variant<std::weak_ptr<LayerImpl>, std::weak_ptr<OptimizerImpl>,
                            std::weak_ptr<MetricImpl>, std::weak_ptr<VariableState>,
                            std::weak_ptr<std::vector<ResumableItem>>>;
  TrackedObjects living() const;
  void take(const Walked& walked);
  bool came_later(const SavedValue& value);

  std::unique_ptr<checkpoint::SavedState> state_;  ///< null when nothing is left to be taken
  std::string path_;
  uint64_t step_;
  std::vector<checkpoint::Skipped> skipped_;
  std::vector<std::pair<std::string, std::string>> facts_;
  std::optional<TrainingState> training_;
  std::vector<std::pair<std::string, Weak>> objects_;
  std::set<std::string> seen_;  ///< names that have been looked for
  std::set<std::string> missing_, unused_;
  std::map<std::string, std::weak_ptr<OptimizerImpl>> optimizers_;  ///< the first of each name
  bool complete_ = false;
  bool is_expected_ = false;
};

/// "a, b, c and 7 more".
std::string some_of(const std::vector<std::string>& names);

}  // namespace cohort::nn::internal
