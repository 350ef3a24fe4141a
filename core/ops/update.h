#pragma once

#include "cohort/core/graph/op.h"
#include "cohort/core/ops/update_body.h"

/// Optimizer updates: one node for all variables of one dtype and one set of hyper-parameters, so
/// that the compiler can lay them out in a bucket and one kernel can walk it. Commit ops: they
/// cannot fail. Attr "variables": for n variables, the ids of the n parameters, then n of the first
/// slot, then n of the second … Inputs: n gradients (dense), then learning_rate (f32 scalar), step
/// (i64 scalar, from 1), apply (bool scalar: false leaves every variable as it is). Where a group
/// is sharded, a node has attr "group" (core/runtime/parameter_group.h), one flat gradient, of this
/// rank's range, and as "variables" the group's slots alone.
namespace cohort::ops {

struct SgdOptions {
  double momentum = 0;
  bool nesterov = false;
  /// Decoupled weight decay p -= decay * lr * p before the update, for each variable (0: none).
  std::vector<double> weight_decay = {};
};
/// Keras' SGD. momentum 0: p -= lr * g. Otherwise m = momentum * m - lr * g;
/// p += m, or with nesterov p += momentum * m - lr * g.
/// Op "SgdUpdate"; attrs "momentum", "nesterov", "weight_decay". `momentums` is empty when momentum
/// is 0.
Node* sgd_update(const Variables& variables, const Variables& momentums,
                 std::span<const Value> gradients, Value learning_rate, Value step, Value apply,
                 SgdOptions options);

/// The same as the body of an elementwise update, with the same bits on every processor.
void sgd_body(UpdateBody& body, Value learning_rate, const SgdOptions& options);

struct AdamOptions {
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  bool amsgrad = false;
  std::vector<double> weight_decay = {};
};
/// Keras' Adam: alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t); m += (g - m)(1 - beta_1);
/// v += (g^2 - v)(1 - beta_2); p -= alpha m / (sqrt(v) + epsilon). With amsgrad a third slot keeps
/// the largest v. Op "AdamUpdate"; attrs "beta_1", "beta_2", "epsilon", "amsgrad", "weight_decay".
Node* adam_update(const Variables& variables, const Variables& m, const Variables& v,
                  const Variables& v_max, std::span<const Value> gradients, Value learning_rate,
                  Value step, Value apply, AdamOptions options);

/// The same as the body of an elementwise update, with the same bits on every processor; alpha is a
/// number of the body.
void adam_body(UpdateBody& body, Value alpha, const AdamOptions& options);
/// alpha of a step: f64 scalars.
Value adam_alpha(Value learning_rate, Value step, const AdamOptions& options);

// Checks that updates of groups share; errors begin with `where`.
void want_gradients(const Variables& variables, std::span<const Value> gradients,
                    std::string_view where);
/// Slots are wanted when the update uses them, equal in number and shapes to the variables.
void want_slots(const Variables& variables, const Variables& slots, bool used,
                std::string_view name, std::string_view where);
/// Records one: the variables of all groups, the gradients and then `of_group` are its own.
Node* record_update(std::string_view op, std::span<const Variables* const> groups,
                    std::span<const Value> gradients, std::vector<Value> of_group, Attrs attrs);

void register_update(OpRegistry& ops);

}  // namespace cohort::ops
