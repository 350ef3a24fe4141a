#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cohort/checkpoint/manifest.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/core/tensor.h"

/// A data file of a checkpoint: a safetensors file whose header, its 8 bytes included, is a
/// multiple of 4,096 bytes, and in which each tensor begins at a multiple of 64. Entries called
/// "~pad/0",
/// "~pad/1", … fill the room between. A part of a tensor is one-dimensional and called
/// "name@begin:end"; a whole one has its own name and shape.
namespace cohort::checkpoint {

inline constexpr size_t kHeaderAlignment = 4096;
inline constexpr size_t kTensorAlignment = 64;

/// What is to be written: elements [begin, end) of a tensor.
struct PieceSource {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  ///< of the whole tensor
  int64_t begin = 0, end = 0;
  /// Gives these elements, row-major; asked when their turn has come, for one piece at a time.
  std::function<Tensor()> value;
};

struct WrittenFile {
  FileRecord record;
  std::vector<uint64_t> offsets;  ///< of each piece
};

/// The name that elements [begin, end) have in a data file.
std::string entry_name(const std::string& tensor, int64_t begin, int64_t end, int64_t num_elements);

/// Writes and syncs directory/name. Throws what the storage and the sources throw, and
/// InvalidArgument where a source gives another type or number of elements.
WrittenFile write_data_file(Storage& storage, const std::string& directory, const std::string& name,
                            const std::vector<PieceSource>& pieces,
                            const std::map<std::string, std::string>& metadata = {});

}  // namespace cohort::checkpoint
