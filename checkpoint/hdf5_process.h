#pragma once

#include "cohort/checkpoint/hdf5_file.h"

namespace cohort::checkpoint {

/// A reader of a file that need not be trusted: `open` and all that it does run in a child of this
/// process, since HDF5's library may crash on what a file says. Throws what the child's reader
/// does, and DataLoss, naming the file, where the child has ended otherwise.
std::unique_ptr<Hdf5Reader> read_in_child(const std::string& path,
                                          std::unique_ptr<Hdf5Reader> (*open)(const std::string&));

}  // namespace cohort::checkpoint
