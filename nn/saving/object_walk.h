#pragma once

#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cohort/nn/metrics.h"
#include "cohort/nn/model.h"
#include "cohort/nn/optimizers.h"
#include "cohort/nn/saving/resumable.h"
#include "cohort/nn/variable.h"

/// The names under which state is saved. They come from how an object is reached from the saved
/// one, never from automatic names, and are the same for every format of files:
///
///   model/layers/dense_1/kernel     a weight of the second Dense of a Sequential or functional
///   model model/encoder/kernel            … of the layer that a subclassed one calls
///   child("encoder", …) model/steps_trained             steps of random ops, int64
///   model/optimizer/iterations      of the optimizer of compile(), unless it is saved on its own
///   model/optimizer/momentum/layers/dense_1/kernel    a slot, by the name of the weight it is of
///   mean/0                          a metric's first state
///   step                            a variable
///   loop/0                          the first of what a loop counts
namespace cohort::nn {

/// What can be saved under a name.
using Trackable = std::variant<Layer, Optimizer, Metric, Variable, Resumable>;
/// The saved root: names, without "/", and objects. What is reached in two ways has the first name.
using TrackedObjects = std::vector<std::pair<std::string, Trackable>>;

namespace internal {

/// One saved value.
struct SavedValue {
  std::string name;
  DType dtype;
  Shape shape;
  const void* identity;  ///< the variable's state, or the model whose number it is
  std::function<Tensor()> value;
  std::function<void(const Tensor&)> assign;
  /// Whether value() is collective in a job of several processes: each has a part of it, or, of
  /// what each replica writes (ON_READ), copies of its own.
  std::function<bool()> is_of_all = [] { return false; };
  /// Of an optimizer's value: whose it is, and its name.
  std::shared_ptr<OptimizerImpl> optimizer = nullptr;
  std::string optimizer_name = "";
};

struct Walked {
  std::vector<SavedValue> values;  ///< in ascending order of names
  std::vector<Optimizer> optimizers;
  bool complete = true;  ///< nothing is there whose values are still to be made
};

/// As Keras sorts attributes: "_private" ones last.
bool attribute_comes_before(const std::string& a, const std::string& b);
/// SavedValue::is_of_all.
bool is_of_all(const VariableState& state);

/// Walks through all that `objects` reach. Throws InvalidArgument where two things get one name.
Walked walk(const TrackedObjects& objects);

}  // namespace internal
}  // namespace cohort::nn
