#include "cohort/nn/internal/clock_offsets.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <string>

namespace cohort::nn::internal {
namespace {

constexpr int kRounds = 16;

int64_t now_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Processes with equal answers have one steady clock.
std::string clock_identity() {
  std::string identity;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), identity);
  char target[64] = {};
  const ssize_t length = readlink("/proc/self/ns/time", target, sizeof target - 1);
  return identity + std::string(target, static_cast<size_t>(std::max<ssize_t>(0, length)));
}

}  // namespace

int64_t clock_ahead(std::span<const ExchangeTimes> theirs, std::span<const ExchangeTimes> mine) {
  int64_t least = std::numeric_limits<int64_t>::min(), most = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < theirs.size(); ++i) {
    least = std::max(least, theirs[i].entered - mine[i].left);
    most = std::min(most, theirs[i].left - mine[i].entered);
  }
  return least + (most - least) / 2;
}

std::vector<int64_t> clock_offsets(distribute::Workers& workers) {
  const auto count = static_cast<size_t>(workers.count());
  if (count == 1) return {0};
  const auto clocks = workers.all_gather("clock", clock_identity());
  std::vector<std::vector<ExchangeTimes>> times(count);
  // Each exchange tells when the one before it was left.
  int64_t left = 0;
  for (int round = 0; round <= kRounds; ++round) {
    const std::vector<int64_t> mine{now_ns(), left};
    const auto all = workers.all_gather("clocks", std::vector{Tensor::from(mine, Shape{2})});
    left = now_ns();
    for (size_t worker = 0; worker < count; ++worker) {
      const auto told = all[worker].values<int64_t>();
      if (round > 0) times[worker].back().left = told[1];
      if (round < kRounds) times[worker].push_back({.entered = told[0]});
    }
  }
  std::vector<int64_t> offsets;
  for (size_t worker = 0; worker < count; ++worker)
    offsets.push_back(clocks[worker] == clocks[0] ? 0 : clock_ahead(times[worker], times[0]));
  return offsets;
}

}  // namespace cohort::nn::internal
