#pragma once

#include <algorithm>
#include <vector>

/// Median and quartiles of some samples.
struct Spread {
  explicit Spread(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    const auto at = [&](size_t quarter) { return samples[(samples.size() - 1) * quarter / 4]; };
    low = at(1);
    median = at(2);
    high = at(3);
  }
  double low, median, high;
};
