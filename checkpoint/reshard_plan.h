#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cohort/checkpoint/manifest.h"

/// Who writes and who reads what: arithmetic on ranges, which touches no file.
namespace cohort::checkpoint {

/// Elements [begin, end) of a manifest's tensor number `tensor`, in row-major order.
struct ElementRange {
  uint32_t tensor = 0;
  int64_t begin = 0, end = 0;
  bool operator==(const ElementRange&) const = default;
};

/// A run of bytes to be read, and the elements that it holds.
struct PlannedRead {
  uint32_t file = 0;
  uint64_t offset = 0, bytes = 0;
  ElementRange elements;
};

/// From the ranges that were saved to those that are wanted now, by however many ranks. Keeps a
/// reference to the manifest.
class ReshardPlan {
 public:
  explicit ReshardPlan(const Manifest& manifest) : manifest_(manifest) {}
  explicit ReshardPlan(Manifest&&) = delete;

  /// What one rank reads to have `wanted`: each byte of them once and no others, the parts of a
  /// range in order. InvalidArgument for a range that the tensor does not have.
  std::vector<PlannedRead> reads(std::span<const ElementRange> wanted) const;

 private:
  const Manifest& manifest_;
};

/// Tensors that all ranks hold alike, shared at tensor borders so that ranks write about as many
/// bytes: the rank that writes each of them. The same on every rank.
std::vector<int> share_among(std::span<const uint64_t> tensor_bytes, int num_ranks);

}  // namespace cohort::checkpoint
