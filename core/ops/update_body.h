#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/core/graph/op.h"

namespace cohort::ops {

using Variables = std::vector<std::shared_ptr<VariableState>>;

/// What an update makes of one element of its variables, recorded with elementwise ops on scalars
/// that stand for it. Numbers that all elements share are computed once a step, in f64, in the
/// step's own graph, and come in through number():
///
///     UpdateBody body("sgd", DType::kF32, 1, graph.ops());
///     body.slots[0] = momentum * body.slots[0] - body.number(rate) * body.gradient;
///     body.parameter = body.parameter + body.slots[0];
///     elementwise_update(body, variables, {momentums}, gradients, apply);
///
/// Elements of 16 bits are computed in f32, and rounded when all is done.
class UpdateBody {
 public:
  /// `name` stands in errors; `ops` are those of the step's graph.
  UpdateBody(std::string name, DType dtype, size_t num_slots, const OpRegistry& ops);

  Value gradient;
  Value parameter;           ///< what it was; to be set to what it becomes
  std::vector<Value> slots;  ///< likewise

  /// A scalar of the step's graph as a number of the body. InvalidArgument unless f64 [].
  Value number(Value of_step);
  /// parameter -= parameter * (weight decay of its variable * rate), with the rate of the step, f64
  /// []. Once, before anything else.
  void decay(Value rate);

  const std::string& name() const { return name_; }
  DType dtype() const { return dtype_; }
  bool decays() const { return decays_; }
  const std::vector<Value>& numbers() const { return numbers_; }
  /// The recorded graph: placeholders are gradient, parameter and slots, the weight decay if
  /// decays(), and numbers(); the last node, "Tuple", has what parameter and slots become.
  /// InvalidArgument, naming the update, for ops that are not elementwise and for results of
  /// another dtype or of no element.
  std::shared_ptr<const Graph> finish() const;

 private:
  Value element(const std::string& name);
  void check_result(Value result, const std::string& what) const;

  std::string name_;
  DType dtype_, computed_in_;
  std::shared_ptr<Graph> graph_;
  std::vector<Value> numbers_;
  bool decays_ = false;
};

/// Op "ElementwiseUpdate": an update of a group of variables (core/ops/update.h) by a body. Attrs
/// "body", "update" (its name), "variables", "weight_decay". Inputs: n gradients, the body's
/// numbers (f64 [K]), apply (bool scalar). slots[k][i] is slot k of variable i; weight_decay has
/// one number for each variable if the body decays, and none otherwise.
Node* elementwise_update(const UpdateBody& body, const Variables& variables,
                         const std::vector<Variables>& slots, std::span<const Value> gradients,
                         Value apply, const std::vector<double>& weight_decay = {});

/// What becomes of the rows for which a sliced gradient has none.
enum class OtherRows {
  kAsDense,  ///< what a gradient of 0 would make of them, which is nothing: the body sees to it
  kStay,     ///< nothing, although a gradient of 0 would change them or their slots
};

/// Op "RowsUpdate": the same of the rows of one variable that a gradient has, each once: no other
/// row is read or written. Attrs as above, and "stay" (bool): OtherRows::kStay. Inputs: indices
/// (i32 [M]; kNoRow marks what is not there), values [M, …], the body's numbers, apply. Slices
/// whose rows may occur twice are combined first.
Node* rows_update(const UpdateBody& body, const std::shared_ptr<VariableState>& variable,
                  const Variables& slots, const Slices& gradient, Value apply, OtherRows others,
                  const std::vector<double>& weight_decay = {});

void register_update_body(OpRegistry& ops);

}  // namespace cohort::ops
