#include "cohort/data/npz.h"

namespace cohort::data {
namespace {

[[noreturn]] void refuse(const char* what, const std::string& path) {
  throw FailedPrecondition("{}: {}: this build is without libzip; want one with COHORT_ZIP=ON",
                           what, path);
}

}  // namespace

std::map<std::string, Tensor> load_npz(const std::string& path, LoadNpzOptions) {
  refuse("load_npz", path);
}
void save_npz(const std::string& path, const std::map<std::string, Tensor>&, SaveNpzOptions) {
  refuse("save_npz", path);
}

}  // namespace cohort::data
