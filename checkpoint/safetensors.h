#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/checkpoint/storage.h"
#include "cohort/core/dtype.h"

/// The safetensors format: 8 bytes, little-endian, with the size of a JSON object; the object, with
/// name -> {dtype, shape, data_offsets} and strings under "__metadata__"; the tensors' bytes, which
/// leave no gap.
namespace cohort::checkpoint {

struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes, counted from the end of the header
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
  uint64_t num_bytes = 0;  ///< of the header with its 8 bytes: where the first tensor begins
};

/// "F32", "BF16", "BOOL", …
std::string_view safetensors_dtype(DType dtype);
/// The inverse; nothing for others.
std::optional<DType> parse_safetensors_dtype(std::string_view name);
/// The elements of a shape; DataLoss, beginning with `where`, on negative sizes or more bytes than
/// 2^62.
int64_t count_elements(const std::vector<int64_t>& shape, DType dtype, std::string_view where);

/// The beginning of a file: 8 bytes and JSON, spaces behind it up to a multiple of `alignment`.
std::string serialize_safetensors_header(const std::vector<SafetensorsEntry>& entries,
                                         const std::map<std::string, std::string>& metadata,
                                         size_t alignment);

/// Reads and checks the header of a file of whatever origin. Throws DataLoss, beginning with
/// `where`, on what is no safetensors file: cut off, no JSON, names twice, shapes that do not fit
/// their bytes, gaps and overlaps, bytes that belong to nobody; Unimplemented for element types
/// that Cohort does not have.
SafetensorsHeader read_safetensors_header(const InputFile& file, std::string_view where);

}  // namespace cohort::checkpoint
