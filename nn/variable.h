#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/graph/variable.h"
#include "cohort/nn/constraints.h"
#include "cohort/nn/handle.h"

namespace cohort::nn {

/// What the layer that made a weight says of its use. Every handle that the layer gives has it.
struct WeightUse {
  /// Whether a layer that computes in another dtype reads it in that one.
  bool autocast = true;
  Constraint constraint = {};
};

/// A handle to a variable. Used as a Value inside a traced function it is its value at the start of
/// the step. value() and assign() see and write all replicas; not while a step runs. Of a variable
/// that each replica writes (ON_READ) in a job of several processes value() is collective.
class Variable : public Handle<VariableState> {
 public:
  Variable() = default;
  explicit Variable(std::shared_ptr<VariableState> state, WeightUse use = {})
      : Handle(std::move(state)),
        autocast_(use.autocast),
        constraint_(use.constraint.defined()
                        ? std::make_shared<const Constraint>(std::move(use.constraint))
                        : nullptr) {}
  /// A variable of the user's own.
  explicit Variable(const Tensor& initial, std::string name = "variable", bool trainable = true);
  /// The same with a say in what replicas make of it (tf.VariableSynchronization,
  /// tf.VariableAggregation). With ON_READ each replica of the scope's strategy starts with
  /// `initial`: so one that is summed reads so many times that. Throws InvalidArgument for
  /// trainable with ON_READ, and MEAN of integers.
  Variable(const Tensor& initial, VariableOptions options);

  /// Where it is saved: "sequential/dense/kernel".
  const std::string& path() const { return impl().name(); }
  /// The last part of the path: "kernel".
  std::string name() const;
  DType dtype() const { return impl().dtype(); }
  const Shape& shape() const { return impl().shape(); }
  bool trainable() const { return impl().trainable(); }
  void set_trainable(bool trainable) const { impl().set_trainable(trainable); }

  Tensor value() const { return impl().value(); }
  void assign(const Tensor& value) const { impl().assign(value); }

  /// The value in the graph being traced; while a layer of a mixed policy is called, in its compute
  /// dtype (DTypePolicy). FailedPrecondition outside of a traced function.
  Value read() const;
  operator Value() const { return read(); }  // NOLINT: ops take variables as they take values
  /// See WeightUse; null: none.
  const Constraint* constraint() const { return constraint_.get(); }

 private:
  bool autocast_ = true;
  std::shared_ptr<const Constraint> constraint_;
};

}  // namespace cohort::nn
