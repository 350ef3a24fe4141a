#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cohort/checkpoint/manifest.h"
#include "cohort/checkpoint/reshard_plan.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/core/tensor.h"

namespace cohort::checkpoint {

/// One checkpoint that is read: the directory of a step. Thread-safe.
class SavedState {
 public:
  /// Reads the manifest and opens the files. Throws NotFound or DataLoss, naming the file, where
  /// one lacks or has another size than the manifest says.
  SavedState(std::shared_ptr<Storage> storage, std::string directory);
  SavedState(const SavedState&) = delete;
  SavedState& operator=(const SavedState&) = delete;

  const std::string& directory() const { return directory_; }
  const Manifest& manifest() const { return manifest_; }

  /// Reads every block of every file on several threads and compares its checksum. Throws DataLoss
  /// that names the file, the block's bytes and the first tensor in it.
  void verify() const;
  /// The same of the blocks that hold these elements, and no others.
  void verify(std::span<const ElementRange> ranges) const;
  /// Whether each file is the safetensors file that the manifest describes. DataLoss where not.
  void verify_headers() const;

  /// A tensor, as it is on the disk: verify first. One that is in one piece shares the mapped
  /// file's memory; writing to it changes no file.
  Tensor read(const TensorRecord& tensor) const;
  /// Elements of it, one-dimensional.
  Tensor read(const ElementRange& range) const;

 private:
  struct Block {
    uint32_t file;
    uint64_t number;
  };
  void verify(std::vector<Block> blocks) const;
  void verify(const Block& block, std::vector<char>& buffer) const;
  std::string tensor_in(const Block& block) const;
  std::shared_ptr<char> mapped(uint32_t file) const;
  Tensor read(const ElementRange& range, Shape shape) const;

  std::shared_ptr<Storage> storage_;
  std::string directory_;
  Manifest manifest_;
  std::vector<std::unique_ptr<InputFile>> files_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<char>> mapped_;  ///< guarded by mutex_; null: not yet
};

}  // namespace cohort::checkpoint
