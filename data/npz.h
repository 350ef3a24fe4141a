#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cohort/data/npy.h"

/// NumPy's file of several arrays, ".npz": a zip archive with a ".npy" for each. Throw
/// FailedPrecondition where this build is without libzip (COHORT_ZIP).
namespace cohort::data {

struct LoadNpzOptions {
  /// Of all arrays together. A file from elsewhere may be a thousand times smaller than what it
  /// says it holds; a larger one is refused before memory is taken: ResourceExhausted.
  uint64_t max_bytes = uint64_t{64} << 30;
};
/// The arrays by their names, which lack the ".npy". Errors as load_npy's, with the array's name;
/// DataLoss where the archive is damaged, by its checksums too.
std::map<std::string, Tensor> load_npz(const std::string& path, LoadNpzOptions options = {});

struct SaveNpzOptions {
  bool compressed = false;  ///< numpy.savez_compressed
};
/// Equal arrays give equal files. Names are not empty and without "/": InvalidArgument.
void save_npz(const std::string& path, const std::map<std::string, Tensor>& arrays,
              SaveNpzOptions options = {});

}  // namespace cohort::data
