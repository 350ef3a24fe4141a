#include "tests/worker_program/cached_steps.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "tests/worker_program/say.h"

namespace {

std::string num_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return std::to_string(std::distance(begin(all), end(all)));
}

}  // namespace

void cached_steps(const cohort::distribute::Strategy& strategy) {
  using cohort::Value;
  using cohort::distribute::ReduceOp;
  std::vector<cohort::Function> steps;
  float total = 0;
  for (int i = 0; i < 16; ++i) {
    steps.push_back(cohort::function([i](Value x) {
      return cohort::distribute::get_replica_context().all_reduce(
          ReduceOp::kSum, x * cohort::ops::scalar(i, cohort::DType::kF32));
    }));
    for (const cohort::Function& step : steps)  // those before go on in the same group
      total += strategy.run(step, {cohort::Tensor::from({1.0f})})[0][0].values<float>()[0];
    if (i == 0) say("descriptors of one step", num_descriptors());
  }
  say("descriptors of sixteen", num_descriptors());
  say("total", std::to_string(total));
}
