#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cohort/nn/handle.h"
#include "cohort/nn/internal/reduction.h"

namespace cohort::nn {

class Loss;

/// What a loss is; a user's own derives from it and overrides call().
class LossImpl : public MadeOfOptions {
 public:
  using HandleType = Loss;
  /// `reduction`: "sum_over_batch_size", "sum", "mean", "mean_with_sample_weight" or "none".
  LossImpl(std::string name, std::string_view reduction);
  virtual ~LossImpl() = default;

  /// The loss of every example: y_true, y_pred [N, …] -> [N, …] without the last dimension.
  virtual Value call(Value y_true, Value y_pred) const = 0;
  /// Which of call()'s elements count, as bool; undefined: all.
  virtual Value mask(Value y_true, Value y_pred) const;

  const std::string& name() const { return name_; }
  Reduction reduction() const { return reduction_; }

 private:
  std::string name_;
  Reduction reduction_;
};

/// A handle to a loss. Given by name ("mse"), as one of the classes below, or as a function
/// (y_true, y_pred) -> loss of every example, to which labels [N] of predictions [N, 1] come as
/// [N, 1].
class Loss : public Handle<LossImpl> {
 public:
  Loss() = default;
  explicit Loss(std::shared_ptr<LossImpl> impl) : Handle(std::move(impl)) {}
  /// Throws InvalidArgument that lists the known names.
  Loss(const char* name);         // NOLINT: given by name
  Loss(const std::string& name);  // NOLINT
  template <class F>
  requires(std::is_invocable_r_v<Value, F, Value, Value> && !std::is_base_of_v<Loss, F>)
      Loss(F per_example)  // NOLINT
      : Loss(std::function<Value(Value, Value)>(std::move(per_example)), "loss") {}
  Loss(std::function<Value(Value, Value)> per_example, std::string name);

  const std::string& name() const { return impl().name(); }
  /// The weighted, reduced loss, inside a traced function. In a step of several replicas: this
  /// replica's share of the loss of the global batch (see Reduction). Weights of a lower rank than
  /// the losses count from the front: [N] weighs rows. InvalidArgument where they do not fit. The
  /// mask that layers gave y_pred leaves elements out, of the sum and of the divisor.
  Value operator()(Value y_true, Value y_pred, Value sample_weight = {}) const;
};

/// y_true: class numbers [N] or [N, 1]; y_pred: logits or probabilities [N, K].
struct SparseCategoricalCrossentropy {
  bool from_logits = false;
  std::optional<int64_t> ignore_class = {};  ///< rows of this label count nowhere
  std::string reduction = "sum_over_batch_size";
  std::string name = "sparse_categorical_crossentropy";

  operator Loss() const;
};

/// y_true: probabilities (one-hot) [N, K]; y_pred: logits or probabilities [N, K].
struct CategoricalCrossentropy {
  bool from_logits = false;
  double label_smoothing = 0.0;
  std::string reduction = "sum_over_batch_size";
  std::string name = "categorical_crossentropy";

  operator Loss() const;
};

/// y_true: 0 or 1, y_pred: logits or probabilities, [N, K]; the mean over K.
struct BinaryCrossentropy {
  bool from_logits = false;
  double label_smoothing = 0.0;
  std::string reduction = "sum_over_batch_size";
  std::string name = "binary_crossentropy";

  operator Loss() const;
};

/// [N, K]: the mean over K. A dimension of 1 behind the rows broadcasts: labels [N, 1].
struct MeanSquaredError {
  std::string reduction = "sum_over_batch_size";
  std::string name = "mean_squared_error";

  operator Loss() const;
};

}  // namespace cohort::nn
