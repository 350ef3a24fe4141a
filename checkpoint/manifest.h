#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cohort/core/dtype.h"

/// What a checkpoint says of itself: names, types and places of its tensors, checksums of its
/// files.
namespace cohort::checkpoint {

/// A checksum is of so many bytes of a file, the last one of what remains.
inline constexpr uint64_t kBlockBytes = uint64_t{1} << 20;

/// Elements [begin, end) of a tensor in row-major order, and where they are.
struct Piece {
  int64_t begin = 0, end = 0;
  uint32_t file = 0;    ///< its number in Manifest::files
  uint64_t offset = 0;  ///< bytes from the file's beginning
};

struct TensorRecord {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<Piece> pieces = {};  ///< in order, each element once

  int64_t num_elements() const;
  uint64_t num_bytes() const { return static_cast<uint64_t>(num_elements()) * size_of(dtype); }
};

struct FileRecord {
  std::string name;
  uint64_t bytes = 0;
  std::vector<uint32_t> crcs = {};  ///< CRC-32C of each block
};

struct Manifest {
  uint64_t step = 0;
  uint64_t created_ms = 0;  ///< since 1970, UTC
  std::optional<double> metric = {};
  std::string trace_hash = {};  ///< of the traced step: shown, never compared
  std::vector<std::pair<std::string, std::string>> facts = {};
  std::vector<FileRecord> files = {};
  std::vector<TensorRecord> tensors = {};  ///< in ascending order of names

  /// Null where there is none of that name.
  const TensorRecord* find(std::string_view name) const;
  uint64_t num_bytes() const;  ///< of all tensors
};

/// Sorts the tensors by name; InvalidArgument for what parse_manifest would refuse.
std::string serialize(Manifest manifest);
/// Throws DataLoss, beginning with `where`, on bytes that are no whole manifest: foreign, cut off,
/// with any bit changed, or inconsistent in themselves; Unimplemented for one of a later version.
Manifest parse_manifest(std::string_view bytes, std::string_view where);

/// One file's record on its own, for another process.
std::string serialize(const FileRecord& file);
FileRecord parse_file_record(std::string_view bytes, std::string_view where);

/// Throws InvalidArgument unless a tensor may have this name: 1 to 4096 bytes of UTF-8 without
/// control characters and "@", which does not begin with "~" and is not "__metadata__".
void check_tensor_name(std::string_view name);
uint64_t num_blocks(uint64_t file_bytes);

}  // namespace cohort::checkpoint
