#include "cohort/nn/layers/normalization.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/norm.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"

namespace cohort::nn {
namespace {

class BatchNormalizationImpl : public LayerImpl {
 public:
  explicit BatchNormalizationImpl(BatchNormalization options)
      : LayerImpl("BatchNormalization", common_options(options)), options_(std::move(options)) {
    if (!(options_.momentum >= 0 && options_.momentum <= 1))
      throw InvalidArgument("{}: got momentum {}; want 0 to 1", name(), options_.momentum);
    if (!(options_.epsilon > 0))
      throw InvalidArgument("{}: got epsilon {}; want more than 0", name(), options_.epsilon);
  }

  void build(std::span<const TensorType> inputs) override {
    check(inputs[0].shape);
    const Shape shape{inputs[0].shape[channel_axis(inputs[0].shape)]};
    channels_ = shape.size(0);
    if (options_.scale)
      gamma_ = add_weight("gamma", {.shape = shape,
                                    .initializer = options_.gamma_initializer,
                                    .regularizer = options_.gamma_regularizer});
    if (options_.center)
      beta_ = add_weight("beta", {.shape = shape,
                                  .initializer = options_.beta_initializer,
                                  .regularizer = options_.beta_regularizer});
    moving_mean_ = add_weight(
        "moving_mean",
        {.shape = shape, .initializer = options_.moving_mean_initializer, .trainable = false});
    moving_variance_ = add_weight(
        "moving_variance",
        {.shape = shape, .initializer = options_.moving_variance_initializer, .trainable = false});
  }

  std::vector<Value> call(const CallArgs& args) override {
    const Value x = as_floating(args.input());
    check(x.shape());
    const int axis = channel_axis(x.shape());
    if (x.shape().size(axis) != channels_)
      throw InvalidArgument("{}: got input {}; want {} channels at axis {}", name(), x.shape(),
                            channels_, options_.axis);
    if (axis == x.rank() - 1) return {normalise(x, args.training)};
    return {
        ops::transpose(normalise(ops::transpose(x, channels_last(axis, x.rank())), args.training),
                       channels_back(axis, x.rank()))};
  }

 private:
  int channel_axis(const Shape& shape) const { return shape.axis(options_.axis, name()); }

  static std::vector<int64_t> channels_last(int axis, int rank) {
    std::vector<int64_t> permutation;
    for (int i = 0; i < rank; ++i)
      if (i != axis) permutation.push_back(i);
    permutation.push_back(axis);
    return permutation;
  }
  static std::vector<int64_t> channels_back(int axis, int rank) {
    std::vector<int64_t> permutation;
    for (int i = 0; i < rank - 1; ++i) permutation.push_back(i);
    permutation.insert(permutation.begin() + axis, rank - 1);
    return permutation;
  }

  /// x [N, …, C]
  Value normalise(Value x, bool training) {
    const Value gamma = options_.scale ? gamma_.read() : ops::fill({channels_}, dtype(), 1);
    const Value beta = options_.center ? beta_.read() : ops::fill({channels_}, dtype(), 0);
    if (!training || !trainable())
      return ops::batch_norm_inference(x, gamma, beta, moving_mean_, moving_variance_,
                                       options_.epsilon);
    return options_.synchronized ? normalise_together(x, gamma, beta)
                                 : normalise_alone(x, gamma, beta);
  }

  void check(const Shape& shape) const {
    if (shape.rank() < 2 || shape[channel_axis(shape)].is_symbol())
      throw InvalidArgument(
          "{}: got input {}; want rank 2 or more, [N, …, C] with a number C at axis {}", name(),
          shape, options_.axis);
  }

  Value normalise_alone(Value x, Value gamma, Value beta) {
    const ops::BatchNormOutputs batch = ops::batch_norm(x, gamma, beta, options_.epsilon);
    const Value rows = ops::minimum(ops::num_rows(x), ops::scalar(1, DType::kI64));
    // A replica without rows has mean and variance 0 and is not counted.
    const std::vector<Value> sums =
        ops::cross_replica(std::vector<Value>{batch.mean, batch.variance, ops::cast(rows, dtype())},
                           ops::ReduceOp::kSum, ops::Role::kStatistic);
    const Value replicas = ops::maximum(sums[2], ops::scalar(1, dtype()));
    move_statistics(sums[0] / replicas, sums[1] / replicas, sums[2]);
    return batch.y;
  }

  static Value over_replicas(Value x) {
    return ops::cross_replica(x, ops::ReduceOp::kSum, ops::Role::kStatistic);
  }

  Value normalise_together(Value x, Value gamma, Value beta) {
    ops::ReduceOptions others;
    for (int64_t axis = 0; axis < x.rank() - 1; ++axis) others.axis.push_back(axis);
    const Value ones = ops::reduce_sum(ops::ones_like(x), others);
    const Value count = over_replicas(ones);
    const Value safe = ops::maximum(count, ops::scalar(1, dtype()));
    const Value mean = over_replicas(ops::reduce_sum(x, others)) / safe;
    const Value squares = ops::reduce_sum(ops::squared_difference(x, mean), others);
    const Value variance = over_replicas(squares) / safe;
    move_statistics(mean, variance, count);
    return (x - mean) * ops::rsqrt(variance + options_.epsilon) * gamma + beta;
  }

  /// What earlier calls of this layer in the step leave of a statistic, whose reads see it as it
  /// was before the step.
  static Value moved(const Variable& moving) {
    Value value = moving.read();
    const std::vector<int64_t> id{value.graph().variable_id(moving.shared())};
    std::vector<Value> moves;
    for (const auto& node : value.graph().nodes())
      if (node->op_name() == "AssignAdd" &&
          node->attrs().get<std::vector<int64_t>>("variables") == id)
        moves.push_back(node->input(0));
    for (const Value& move : moves) value = value + move;
    return value;
  }

  /// Where `count` is 0 there were no rows on any replica: nothing moves.
  void move_statistics(Value mean, Value variance, Value count) {
    const Value share =
        ops::where(ops::greater(count, ops::scalar(0, dtype())),
                   ops::scalar(1 - options_.momentum, dtype()), ops::scalar(0, dtype()));
    const auto move = [&](const Variable& moving, Value batch) {
      ops::assign_add(moving.shared(), (ops::stop_gradient(batch) - moved(moving)) * share);
    };
    move(moving_mean_, mean);
    move(moving_variance_, variance);
  }

  BatchNormalization options_;
  int64_t channels_ = 0;
  Variable gamma_, beta_, moving_mean_, moving_variance_;
};

}  // namespace

BatchNormalization::operator Layer() const { return make<BatchNormalizationImpl>(*this); }

}  // namespace cohort::nn
