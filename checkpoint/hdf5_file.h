#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/core/tensor.h"

/// HDF5 files as far as Keras' files of weights use the format: groups, whole datasets of numbers,
/// strings as attributes. Paths within a file: "layers/dense/vars/0". HDF5's library, in the module
/// libcohort_hdf5, works for one thread at a time; others wait.
namespace cohort::checkpoint {

struct Hdf5Dataset {
  std::string path;
  DType dtype = DType::kF32;
  Shape shape;
};

/// A file that is read. It may come from anywhere: links and data that lie in other files are
/// refused, nothing larger than the file is allocated before read() is asked for it, and a child of
/// this process reads it, so that one on which HDF5's library crashes is an error like others.
class Hdf5Reader {
 public:
  virtual ~Hdf5Reader() = default;
  /// All of them, in ascending order of paths.
  virtual const std::vector<Hdf5Dataset>& datasets() const = 0;
  /// Of the group or dataset at `path` ("": the file's root); nothing where there is none.
  virtual std::optional<std::string> attribute(const std::string& path,
                                               const std::string& name) const = 0;
  /// The same of an attribute that is a list of strings, which may be empty.
  virtual std::optional<std::vector<std::string>> attribute_list(const std::string& path,
                                                                 const std::string& name) const = 0;
  virtual Tensor read(const Hdf5Dataset& dataset) const = 0;
};

/// A new file, which takes the place of one at its path when close() returns, and then survives a
/// crash of the machine. Destroyed before, it leaves nothing.
class Hdf5Writer {
 public:
  virtual ~Hdf5Writer() = default;
  /// Those that lead to it are made where they lack.
  virtual void make_group(const std::string& path) = 0;
  virtual void set_attribute(const std::string& path, const std::string& name,
                             const std::string& value) = 0;
  virtual void write(const std::string& path, const Tensor& value) = 0;
  virtual void close() = 0;
};

/// Throw FailedPrecondition where this build is without HDF5. NotFound for a file that is not
/// there, DataLoss for one that is no HDF5 file, is torn or has what is refused, Unimplemented for
/// element types that Cohort lacks; each names the file.
std::unique_ptr<Hdf5Reader> open_hdf5(const std::string& path);
std::unique_ptr<Hdf5Writer> create_hdf5(const std::string& path);

/// What the module does for this library.
struct Hdf5Module {
  std::unique_ptr<Hdf5Reader> (*open)(const std::string& path) = nullptr;
  std::unique_ptr<Hdf5Writer> (*create)(const std::string& path) = nullptr;
};
/// What the module exports, `extern "C"`, under the name kHdf5Entry.
using Hdf5Entry = void (*)(Hdf5Module&);
inline constexpr const char* kHdf5Entry = "cohort_hdf5_module";

}  // namespace cohort::checkpoint
