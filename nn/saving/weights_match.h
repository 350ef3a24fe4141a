#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cohort/nn/saving/weights_format.h"

namespace cohort::nn::internal {

/// Which of a file's weights a model's take, and what does not fit.
class WeightsMatch {
 public:
  /// Notes a problem where the layer at `path` has another name than the file's and one of the two
  /// was chosen by somebody: not "dense" and "dense_4".
  void compare_names(const std::string& path, const std::string& of_file, const Layer& layer);
  /// `weight` takes `in_file`, or that is a problem.
  void pair(const Variable& weight, const WeightInFile& in_file);
  void add_problem(std::string problem) { problems_.push_back(std::move(problem)); }

  const std::vector<std::string>& problems() const { return problems_; }
  size_t num_pairs() const { return pairs_.size(); }
  /// Returns a hash of what was read.
  std::string assign(const std::function<Tensor(const WeightInFile&)>& read) const;

 private:
  std::vector<std::pair<Variable, WeightInFile>> pairs_;
  std::vector<std::string> problems_;
};

}  // namespace cohort::nn::internal
