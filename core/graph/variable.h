#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace cohort {

class Device;

/// How copies of a variable on several replicas are kept equal (tf.VariableSynchronization).
enum class VariableSynchronization { kAuto, kNone, kOnWrite, kOnRead };
/// How per-replica values become one when a variable is written or read (tf.VariableAggregation).
enum class VariableAggregation { kNone, kSum, kMean, kOnlyFirstReplica };

struct VariableOptions {
  std::string name;  ///< the path under which it is saved: "sequential/dense/kernel"
  bool trainable = true;
  VariableSynchronization synchronization = VariableSynchronization::kAuto;
  VariableAggregation aggregation = VariableAggregation::kNone;
};

/// Where one device keeps a variable. Its address is stable: kernels hold `&place.data` and follow
/// the variable when a later compile lays it out again.
struct VariablePlace {
  Device* device = nullptr;
  void* data = nullptr;
  uint64_t version = 0;  ///< grows at every write; derived copies (packed weights) compare it
  std::shared_ptr<void> memory;  ///< keeps data's block alive; shared by the variables of a bucket
};

/// A variable: dtype, shape, and one place on each device that uses it. Handles of the user
/// (nn::Variable) and graphs share it. Before first use on a device only the host value exists.
/// Not synchronised: not to be read or assigned while a step runs.
class VariableState {
 public:
  /// `initial` is called once, on first need, and must return a tensor of this dtype and shape.
  VariableState(DType dtype, Shape shape, std::function<Tensor()> initial, VariableOptions options);
  VariableState(Tensor initial, VariableOptions options);

  const std::string& name() const { return options_.name; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const VariableOptions& options() const { return options_; }
  bool trainable() const { return options_.trainable; }
  void set_trainable(bool trainable) { options_.trainable = trainable; }
  size_t num_bytes() const { return static_cast<size_t>(shape_.num_elements()) * size_of(dtype_); }

  /// A copy of the value. All places agree, unless each replica writes its own (kOnRead): then
  /// their sum, mean or first, as the aggregation says; InvalidArgument for kNone.
  Tensor value() const;
  /// A copy of what `device` holds.
  Tensor value(const Device& device) const;
  /// Writes every place; of a kOnRead variable that is summed, an equal share to each. Throws
  /// InvalidArgument on another dtype or shape.
  void assign(const Tensor& value);
  void assign(const Device& device, const Tensor& value);

  /// The place on `device`, made and filled with the current value on first use.
  VariablePlace& place(Device& device);
  /// Moves the place on `device` to `data` inside `memory`, carrying the value.
  void relocate(Device& device, void* data, std::shared_ptr<void> memory);
  const std::vector<std::unique_ptr<VariablePlace>>& places() const { return places_; }

 private:
  void initialise() const;
  void check(const Tensor& value) const;
  Tensor aggregate() const;

  DType dtype_;
  Shape shape_;
  mutable std::function<Tensor()> initial_;
  mutable Tensor host_;  ///< the value while there is no place
  VariableOptions options_;
  std::vector<std::unique_ptr<VariablePlace>> places_;
};

}  // namespace cohort
