#include "cohort/nn/metrics/mean_iou.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn {
namespace {

constexpr int64_t kMostClasses = 1 << 15;  // a place in the matrix is an i32

/// The state is the confusion matrix, [label, prediction].
class MeanIoUImpl final : public MetricImpl {
 public:
  explicit MeanIoUImpl(const metrics::MeanIoU& options)
      : MetricImpl(options.name), options_(options) {
    if (options.num_classes < 1 || options.num_classes > kMostClasses)
      throw InvalidArgument("{}: got num_classes {}; want 1 to {}", name(), options.num_classes,
                            kMostClasses);
    add_state("total_confusion_matrix", {options.num_classes, options.num_classes});
  }

  std::vector<Value> contributions(const MetricArgs& args) const override {
    const auto [labels, predictions] = internal::of_equal_shape(
        numbers(args.y_true, options_.sparse_y_true), numbers(args.y_pred, options_.sparse_y_pred));
    Value counts = ops::logical_and(is_class(labels), is_class(predictions));
    if (options_.ignore_class)
      counts = ops::logical_and(counts, ops::not_equal(labels, whole(*options_.ignore_class)));
    const int64_t classes = options_.num_classes;
    const Value place =
        ops::where(counts, labels * static_cast<double>(classes) + predictions, whole(-1));
    const Value weights =
        args.sample_weight.defined()
            ? ops::broadcast_to(internal::weights_for(args.sample_weight, place, "labels"),
                                place.shape())
            : ops::fill(place.shape(), DType::kI32, 1);
    const Value matrix = ops::slices_to_dense(
        {internal::in_a_row(place), internal::in_a_row(weights), Shape{classes * classes}});
    return {ops::reshape(matrix, {classes, classes})};
  }

  Value result(std::span<const Value> states) const override {
    const int64_t classes = options_.num_classes;
    const Value matrix = states[0];
    const Value intersection =
        ops::reduce_sum(matrix * ops::constant(Tensor(identity(classes))), {.axis = {1}});
    const Value both = ops::reduce_sum(matrix, {.axis = {0}}) +
                       ops::reduce_sum(matrix, {.axis = {1}}) - intersection;
    const Value valid = ops::greater(both, ops::scalar(1e-9, DType::kF64));
    const Value share =
        ops::where(valid, intersection / (both + internal::kKerasEpsilon), ops::zeros_like(both));
    return ops::reduce_sum(share) /
           (ops::reduce_sum(ops::cast(valid, DType::kF64)) + internal::kKerasEpsilon);
  }

 private:
  static Value whole(int64_t number) {
    return ops::scalar(static_cast<double>(number), DType::kI32);
  }
  Value numbers(Value classes, bool sparse) const {
    if (!sparse) classes = ops::argmax(classes, options_.axis);
    return ops::cast(classes, DType::kI32);
  }
  Value is_class(Value number) const {
    return ops::logical_and(ops::greater_equal(number, whole(0)),
                            ops::less(number, whole(options_.num_classes)));
  }
  static Tensor identity(int64_t classes) {
    Tensor matrix(DType::kF64, Shape{classes, classes});
    for (int64_t i = 0; i < classes; ++i) matrix.data<double>()[i * (classes + 1)] = 1;
    return matrix;
  }

  metrics::MeanIoU options_;
};

}  // namespace

namespace metrics {

MeanIoU::operator Metric() const { return make<MeanIoUImpl>(*this); }

}  // namespace metrics
}  // namespace cohort::nn
