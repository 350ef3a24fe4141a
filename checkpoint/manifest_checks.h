#pragma once

#include <string_view>

#include "cohort/checkpoint/manifest.h"

namespace cohort::checkpoint::internal {

/// Throws DataLoss, beginning with `where`, unless every number fits the others: files have plain,
/// different names and as many checksums as blocks, tensors ascending names, and pieces that lie in
/// their files and hold each element once.
void check_manifest(const Manifest& manifest, std::string_view where);
void check_file(const FileRecord& file, std::string_view where);

}  // namespace cohort::checkpoint::internal
