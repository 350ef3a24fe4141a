#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/checkpoint/load_function.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/layer.h"

namespace cohort::nn {

/// Several functions in one directory, with the weights that they read, for programs without the
/// classes that made them (keras.export.ExportArchive):
///
///   nn::ExportArchive archive;
///   archive.track(model);
///   archive.add_endpoint("scores", cohort::function([&](Value x) { return model(x); }),
///                        {{"image", {DType::kF32, {batch_dim(), 28, 28}}}});
///   archive.write_out("scorer");
///   …
///   Tensor scores = cohort::load_function("scorer", "scores")(images)[0];   // in another program
///
/// A function is a graph of its inputs and of variables that it reads: what writes variables is
/// FailedPrecondition, and of what several replicas exchange it has what one alone would. Devices
/// that were asked for are not kept.
class ExportArchive {
 public:
  /// Of the strategy in whose scope it is made.
  ExportArchive();
  explicit ExportArchive(distribute::Strategy strategy);
  ~ExportArchive();
  ExportArchive(const ExportArchive&) = delete;
  ExportArchive& operator=(const ExportArchive&) = delete;

  /// Weights of `layer` are called as in a checkpoint, "layers/dense_1/kernel"; others by their
  /// paths. FailedPrecondition where one of its layers has no weights yet.
  void track(const Layer& layer);
  /// Traces `function` for these inputs: a symbolic dimension is free. `outputs` names what it
  /// returns: "output_1", … where it is empty. AlreadyExists for a second one called `name`.
  void add_endpoint(const std::string& name, const Function& function,
                    const std::vector<NamedType>& inputs, std::vector<std::string> outputs = {});
  /// Writes them with the values that the variables have now, in the place of an export that may be
  /// there. Collective in a job of several processes: the chief writes. A crash leaves what was
  /// there, or this. FailedPrecondition without an endpoint.
  void write_out(const std::string& directory, bool overwrite = true) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cohort::nn
