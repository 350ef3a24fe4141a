#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cohort/core/runtime/function.h"

namespace cohort {

/// An input or output of a function in a file.
struct NamedType {
  std::string name;
  TensorType type;  ///< symbolic dimensions are free: "N" is the same number wherever it stands
  bool operator==(const NamedType&) const = default;
};

/// A function that was exported, by this program or another (nn::Model::export_to()). Like every
/// Function it runs on the default device and is compiled once for each number of rows; others may
/// record it as a part of theirs. A cheap handle; thread-safe.
class LoadedFunction : public Function {
 public:
  struct Description {
    std::string name;
    std::vector<NamedType> inputs, outputs;
  };

  LoadedFunction(Body body, Description description);

  const std::vector<NamedType>& inputs() const { return state_->description.inputs; }
  const std::vector<NamedType>& outputs() const { return state_->description.outputs; }

  /// Tensors in the order of inputs(), of their types; gives copies in that of outputs(). Throws
  /// InvalidArgument that names the input that does not fit.
  using Function::operator();
  /// By name. InvalidArgument where one lacks, or belongs to no input.
  std::map<std::string, Tensor> operator()(const std::map<std::string, Tensor>& inputs) const;
  /// Records it in the function being traced, on values of that one.
  std::vector<Value> call(const std::vector<Value>& inputs) const;

 private:
  struct State {
    Body body;
    Description description;
  };
  std::shared_ptr<const State> state_;
};

/// Loads the function `signature` from a directory that Model::export_to() or ExportArchive wrote.
/// Needs none of the classes that it was made of, only the ops. Its weights are read where they are
/// needed for the first time; checksums are compared now. Files may come from anywhere: no more is
/// allocated than a few times their size. Running a function costs what it says, whoever wrote it.
///
/// Throws NotFound where the directory, a file of it or the function lacks (then naming those that
/// are there), or this build lacks an op; Unimplemented for a later version of the format;
/// DataLoss, naming the file and the place, where something is torn, changed or does not hold.
LoadedFunction load_function(const std::string& directory, const std::string& signature = "serve");

/// All functions of a directory, by name. They share their weights.
std::map<std::string, LoadedFunction> load_functions(const std::string& directory);

}  // namespace cohort
