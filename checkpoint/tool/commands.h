#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cohort/checkpoint/saved_state.h"
#include "cohort/checkpoint/storage.h"

/// What the program cohort-checkpoint does. Paths are directories of checkpoints, of which the
/// newest whole one counts, or of a step.
namespace cohort::checkpoint::tool {

/// What a command has to say, and the program's exit status: 0: as it should be, 1: it is not
/// (damaged, different).
struct Outcome {
  std::string text;
  int status = 0;
};

/// The manifest in words; with `tensors`, a line for each.
Outcome show(const std::shared_ptr<Storage>& storage, const std::string& path, bool tensors);
/// Reads every byte of a step, or of each step of a directory, and compares it with checksums,
/// manifest and headers.
Outcome verify(const std::shared_ptr<Storage>& storage, const std::string& path);
/// Names that one of the two lacks, types that differ, and the first tensor and element whose bytes
/// differ.
Outcome diff(const std::shared_ptr<Storage>& storage, const std::string& a, const std::string& b);

struct ConvertOptions {
  uint64_t max_shard_bytes = 5'000'000'000;  ///< of tensors in one file
  std::string prefix = "";                   ///< only names that begin so, without it
};
/// Writes the form that Hugging Face's tools read into a new directory `to`: model.safetensors, or
/// several files and an index. Holds one tensor in memory.
Outcome convert(const std::shared_ptr<Storage>& storage, const std::string& from,
                const std::string& to, const ConvertOptions& options);

}  // namespace cohort::checkpoint::tool
