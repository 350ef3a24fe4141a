#include "cohort/data/archive.h"

#include "cohort/core/error.h"

namespace cohort::data {
namespace {

[[noreturn]] void refuse_archive(const std::string& path) {
  throw FailedPrecondition("{}: this build is without libzip; want one with COHORT_ZIP=ON", path);
}

}  // namespace

bool ArchiveReader::contains(const std::string&) const { return false; }
std::unique_ptr<ArchiveReader> open_archive(const std::string& path) { refuse_archive(path); }
void write_archive(const std::string& path, const std::vector<ArchiveEntry>&) {
  refuse_archive(path);
}

}  // namespace cohort::data
