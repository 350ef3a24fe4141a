#include "cohort/nn/losses.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/nn/internal/masks.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/shapes.h"

namespace cohort::nn {
namespace {

/// Keras' epsilon: probabilities are held in [1e-7, 1 - 1e-7].
constexpr double kEpsilon = 1e-7;

Value clip_probabilities(Value p) { return ops::clip(p, kEpsilon, 1 - kEpsilon); }

/// The logits of probabilities that come straight out of `activation` ("Softmax", "Sigmoid"):
/// the loss of logits is exact where that of rounded probabilities is not. Undefined otherwise.
Value logits_behind(Value probabilities, std::string_view activation) {
  const Node* node = probabilities.node();
  return node->op_name() == activation ? node->input(0) : Value();
}

Value mean_last(Value x) { return ops::reduce_mean(x, {.axis = {-1}}); }

/// Labels and predictions of rank 1 are columns.
std::pair<Value, Value> as_columns(Value y_true, Value y_pred) {
  std::tie(y_true, y_pred) = internal::squeeze_or_expand_to_same_rank(y_true, y_pred);
  if (y_true.rank() == 1) y_true = ops::expand_dims(y_true, -1);
  if (y_pred.rank() == 1) y_pred = ops::expand_dims(y_pred, -1);
  return {ops::cast(y_true, y_pred.dtype()), y_pred};
}

void check_equal_shapes(Value y_true, Value y_pred) {
  if (y_true.shape() != y_pred.shape())
    throw InvalidArgument("got labels {} for predictions {}; want equal shapes", y_true.shape(),
                          y_pred.shape());
}

/// Row by row: a dimension of 1 behind the rows meets any other.
void check_broadcastable(Value y_true, Value y_pred) {
  if (!internal::broadcast_by_rows(y_true.shape(), y_pred.shape()))
    throw InvalidArgument(
        "got labels {} for predictions {}; want as many rows and equal dimensions, or 1, behind",
        y_true.shape(), y_pred.shape());
}

void check_smoothing(const std::string& name, double smoothing) {
  if (!(smoothing >= 0 && smoothing <= 1))
    throw InvalidArgument("{}: got label_smoothing {}; want 0 to 1", name, smoothing);
}

class SparseImpl : public LossImpl {
 public:
  explicit SparseImpl(const SparseCategoricalCrossentropy& options)
      : LossImpl(options.name, options.reduction),
        from_logits_(options.from_logits),
        ignore_(options.ignore_class) {}

  Value call(Value y_true, Value y_pred) const override {
    Value labels = class_numbers(y_true, y_pred);
    if (ignore_) {
      const Value zero = ops::scalar(0, labels.dtype());
      labels = ops::where(counted(labels), labels, zero);
    }
    if (from_logits_) return ops::sparse_softmax_cross_entropy(y_pred, labels);
    const Value logits = logits_behind(y_pred, "Softmax");
    if (logits.defined()) return ops::sparse_softmax_cross_entropy(logits, labels);
    return ops::sparse_softmax_cross_entropy(ops::log(clip_probabilities(y_pred)), labels);
  }

  Value mask(Value y_true, Value y_pred) const override {
    return ignore_ ? counted(class_numbers(y_true, y_pred)) : Value();
  }

 private:
  static Value class_numbers(Value y_true, Value y_pred) {
    if (y_true.rank() == y_pred.rank() && y_true.shape()[y_true.rank() - 1] == 1)
      y_true = ops::squeeze(y_true, -1);
    if (y_true.shape() != y_pred.shape().slice(0, std::max(0, y_pred.rank() - 1)))
      throw InvalidArgument("got labels {} for predictions {}; want class numbers {}",
                            y_true.shape(), y_pred.shape(),
                            y_pred.shape().slice(0, std::max(0, y_pred.rank() - 1)));
    const DType dtype = y_true.dtype();
    const bool taken = dtype == DType::kI32 || dtype == DType::kI64 || dtype == DType::kU8;
    return taken ? y_true : ops::cast(y_true, DType::kI64);
  }
  Value counted(Value labels) const {
    return ops::not_equal(ops::cast(labels, DType::kI64),
                          ops::scalar(static_cast<double>(*ignore_), DType::kI64));
  }

  bool from_logits_;
  std::optional<int64_t> ignore_;
};

class CategoricalImpl : public LossImpl {
 public:
  explicit CategoricalImpl(const CategoricalCrossentropy& options)
      : LossImpl(options.name, options.reduction),
        from_logits_(options.from_logits),
        smoothing_(options.label_smoothing) {
    check_smoothing(name(), smoothing_);
  }

  Value call(Value y_true, Value y_pred) const override {
    if (y_true.shape() != y_pred.shape())
      throw InvalidArgument(
          "got labels {} for predictions {}; want equal shapes (for class numbers take "
          "sparse_categorical_crossentropy)",
          y_true.shape(), y_pred.shape());
    Value labels = ops::cast(y_true, y_pred.dtype());
    if (smoothing_ > 0) {
      const auto classes = static_cast<double>(y_pred.shape().size(y_pred.rank() - 1));
      labels = labels * (1 - smoothing_) + smoothing_ / classes;
    }
    if (from_logits_) return ops::softmax_cross_entropy(y_pred, labels);
    const Value logits = logits_behind(y_pred, "Softmax");
    if (logits.defined()) return ops::softmax_cross_entropy(logits, labels);
    const Value sums = ops::reduce_sum(y_pred, {.axis = {-1}, .keepdims = true});
    const Value log_p = ops::log(clip_probabilities(y_pred / sums));
    return -ops::reduce_sum(labels * log_p, {.axis = {-1}});
  }

 private:
  bool from_logits_;
  double smoothing_;
};

class BinaryImpl : public LossImpl {
 public:
  explicit BinaryImpl(const BinaryCrossentropy& options)
      : LossImpl(options.name, options.reduction),
        from_logits_(options.from_logits),
        smoothing_(options.label_smoothing) {
    check_smoothing(name(), smoothing_);
  }

  Value call(Value y_true, Value y_pred) const override {
    auto [labels, p] = as_columns(y_true, y_pred);
    check_equal_shapes(labels, p);
    if (smoothing_ > 0) labels = labels * (1 - smoothing_) + smoothing_ * 0.5;
    if (from_logits_) return mean_last(ops::sigmoid_cross_entropy(p, labels));
    const Value logits = logits_behind(p, "Sigmoid");
    if (logits.defined()) return mean_last(ops::sigmoid_cross_entropy(logits, labels));
    p = clip_probabilities(p);
    return mean_last(-(labels * ops::log(p) + (1.0 - labels) * ops::log(1.0 - p)));
  }

 private:
  bool from_logits_;
  double smoothing_;
};

class MeanSquaredErrorImpl : public LossImpl {
 public:
  explicit MeanSquaredErrorImpl(const MeanSquaredError& options)
      : LossImpl(options.name, options.reduction) {}
  Value call(Value y_true, Value y_pred) const override {
    const auto [labels, predictions] = as_columns(y_true, y_pred);
    check_broadcastable(labels, predictions);
    return mean_last(ops::squared_difference(predictions, labels));
  }
};

class FunctionImpl : public LossImpl {
 public:
  FunctionImpl(std::function<Value(Value, Value)> function, std::string name)
      : LossImpl(std::move(name), "sum_over_batch_size"), function_(std::move(function)) {}
  Value call(Value y_true, Value y_pred) const override {
    std::tie(y_true, y_pred) = internal::squeeze_or_expand_to_same_rank(y_true, y_pred);
    return function_(y_true, y_pred);
  }

 private:
  std::function<Value(Value, Value)> function_;
};

Loss loss_by_name(std::string_view name) {
  const internal::Named<Loss> known[] = {
      {"sparse_categorical_crossentropy", SparseCategoricalCrossentropy{}},
      {"categorical_crossentropy", CategoricalCrossentropy{}},
      {"binary_crossentropy", BinaryCrossentropy{}},
      {"bce", BinaryCrossentropy{}},
      {"mean_squared_error", MeanSquaredError{}},
      {"mse", MeanSquaredError{}},
  };
  return internal::find_named_class<Loss>("loss", name, known);
}

}  // namespace

LossImpl::LossImpl(std::string name, std::string_view reduction)
    : name_(std::move(name)), reduction_(internal::parse_reduction(name_, reduction)) {}

Value LossImpl::mask(Value, Value) const { return {}; }

Loss::Loss(const char* name) : Loss(loss_by_name(name)) {}
Loss::Loss(const std::string& name) : Loss(loss_by_name(name)) {}
Loss::Loss(std::function<Value(Value, Value)> per_example, std::string name)
    : Handle(std::make_shared<FunctionImpl>(std::move(per_example), std::move(name))) {}

Value Loss::operator()(Value y_true, Value y_pred, Value sample_weight) const {
  GraphScope graph(y_pred.graph());
  NameScope scope(name());
  try {
    Value mask = internal::mask_of(y_pred);
    if (y_pred.dtype() != DType::kF64) y_pred = ops::cast(y_pred, DType::kF32);
    if (const Value counted = impl().mask(y_true, y_pred); counted.defined())
      mask = mask.defined() ? ops::logical_and(mask, counted) : counted;
    return internal::reduce_weighted(impl().call(y_true, y_pred), sample_weight, mask,
                                     impl().reduction());
  } catch (const Error& error) {
    throw error.within(current_name_scope());
  }
}

SparseCategoricalCrossentropy::operator Loss() const { return make<SparseImpl>(*this); }
CategoricalCrossentropy::operator Loss() const { return make<CategoricalImpl>(*this); }
BinaryCrossentropy::operator Loss() const { return make<BinaryImpl>(*this); }
MeanSquaredError::operator Loss() const { return make<MeanSquaredErrorImpl>(*this); }

}  // namespace cohort::nn
