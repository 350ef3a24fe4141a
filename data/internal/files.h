#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/data/file_options.h"
#include "cohort/data/internal/node.h"

/// Sources that are lists of files, read one after the other. The list is part of the description,
/// so that a step can give each worker files of its own.
namespace cohort::data {

/// What one file's elements are.
class FileFormat {
 public:
  virtual ~FileFormat() = default;
  /// The elements of `path`, read as they are asked for.
  virtual FlowPtr<Element> open(const std::string& path) const = 0;
  virtual ElementSpec spec() const = 0;
  virtual int64_t elements_per_file() const { return kUnknownCardinality; }
  /// The call that makes the source and its options, after the files: `from_tfrecord`, `, gzip`.
  virtual std::string name() const = 0;
  virtual std::string options() const { return ""; }
};

/// The elements of the files, in order. No files: no elements.
NodePtr files_node(std::shared_ptr<const FileFormat> format, std::vector<std::string> files);

/// ", gzip" and such; nothing where the file is plain.
std::string describe(Compression compression);
/// Throws InvalidArgument where `files` is empty or one of them has no name.
void check_files(const std::vector<std::string>& files, std::string_view where);

}  // namespace cohort::data
