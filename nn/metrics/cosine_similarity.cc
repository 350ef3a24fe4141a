#include "cohort/nn/metrics/cosine_similarity.h"

#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/labels.h"

namespace cohort::nn {
namespace {

class CosineSimilarityImpl final : public MeanMetricImpl {
 public:
  explicit CosineSimilarityImpl(const metrics::CosineSimilarity& options)
      : MeanMetricImpl(options.name), axis_(options.axis) {}

  Value values(Value y_true, Value y_pred) const override {
    const auto [labels, predictions] = internal::of_equal_shape(y_true, internal::floating(y_pred));
    if (predictions.shape().axis(axis_, name()) == 0)
      throw InvalidArgument("{}: got axis {} of {}; want another than that of examples", name(),
                            axis_, predictions.shape());
    return ops::reduce_sum(
        normalized(ops::cast(labels, predictions.dtype())) * normalized(predictions),
        {.axis = {axis_}});
  }

 private:
  Value normalized(Value x) const {
    const Value squares = ops::reduce_sum(ops::square(x), {.axis = {axis_}, .keepdims = true});
    const Value most = ops::ones_like(squares) * (1 / internal::kKerasEpsilon);
    return x * ops::minimum(ops::rsqrt(squares), most);
  }

  int64_t axis_;
};

}  // namespace

metrics::CosineSimilarity::operator Metric() const { return make<CosineSimilarityImpl>(*this); }

}  // namespace cohort::nn
