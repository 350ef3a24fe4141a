#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cohort::data {

/// How a file's bytes are packed (TensorFlow's "", "GZIP" and "ZLIB").
enum class Compression : uint8_t { kNone, kGzip, kZlib };

struct TFRecordOptions {
  Compression compression = Compression::kNone;
};
struct TextLineOptions {
  Compression compression = Compression::kNone;
};
struct ListFilesOptions {
  /// Each epoch in another order; the order of the names otherwise.
  bool shuffle = true;
  std::optional<uint64_t> seed = {};  ///< mixed with the iterator's seed
};
struct InterleaveOptions {
  int cycle_length = 4;  ///< datasets that are open at a time
  int block_length = 1;  ///< elements from one before the next has its turn
  /// More than 1: that many of the open datasets are read ahead, each on a thread of its own that
  /// the iterator owns. The order of the elements stays.
  int num_parallel_calls = 1;
};

}  // namespace cohort::data
