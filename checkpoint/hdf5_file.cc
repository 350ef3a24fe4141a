#include "cohort/checkpoint/hdf5_file.h"

#include "cohort/checkpoint/hdf5_process.h"
#include "cohort/core/error.h"
#include "cohort/core/runtime/module.h"

namespace cohort::checkpoint {
namespace {

const Hdf5Module& hdf5() {
  static const Hdf5Module module = [] {
    std::string problem;
    void* entry = module_symbol("hdf5", kHdf5Entry, problem);
    if (!entry)
      throw FailedPrecondition(
          "hdf5: files that end in .h5 need HDF5's library, which this build of Cohort is without "
          "({}); configure with COHORT_HDF5=ON, or use .safetensors",
          problem);
    Hdf5Module found;
    reinterpret_cast<Hdf5Entry>(entry)(found);
    return found;
  }();
  return module;
}

}  // namespace

std::unique_ptr<Hdf5Reader> open_hdf5(const std::string& path) {
  return read_in_child(path, hdf5().open);
}
std::unique_ptr<Hdf5Writer> create_hdf5(const std::string& path) { return hdf5().create(path); }

}  // namespace cohort::checkpoint
