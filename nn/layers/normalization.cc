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

constexpr double kFuzz = 1e-7;  // keras.backend.epsilon()

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
                                    .autocast = false,
                                    .regularizer = options_.gamma_regularizer,
                                    .constraint = options_.gamma_constraint});
    if (options_.center)
      beta_ = add_weight("beta", {.shape = shape,
                                  .initializer = options_.beta_initializer,
                                  .autocast = false,
                                  .regularizer = options_.beta_regularizer,
                                  .constraint = options_.beta_constraint});
    moving_mean_ = add_weight("moving_mean", {.shape = shape,
                                              .initializer = options_.moving_mean_initializer,
                                              .trainable = false,
                                              .autocast = false});
    moving_variance_ =
        add_weight("moving_variance", {.shape = shape,
                                       .initializer = options_.moving_variance_initializer,
                                       .trainable = false,
                                       .autocast = false});
  }

  std::vector<Value> call(const CallArgs& args) override {
    const Value x = as_floating(args.input());
    check(x.shape());
    const int axis = channel_axis(x.shape());
    if (x.shape().size(axis) != channels_)
      throw InvalidArgument("{}: got input {}; want {} channels at axis {}", name(), x.shape(),
                            channels_, options_.axis);
    const Value counts = counted(args, x);
    if (axis == x.rank() - 1) return {normalise(x, counts, args.training)};
    const std::vector<int64_t> last = channels_last(axis, x.rank());
    const Value y =
        normalise(ops::transpose(x, last),
                  counts.defined() ? ops::transpose(counts, last) : Value(), args.training);
    return {ops::transpose(y, channels_back(axis, x.rank()))};
  }
  bool supports_masking() const override { return true; }

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

  /// Which elements of x make the statistics: bool, of x's shape; undefined: all.
  Value counted(const CallArgs& args, Value x) const {
    if (!args.mask.defined() || !args.training || !trainable()) return {};
    if (args.mask.rank() != x.rank() - 1)
      throw InvalidArgument("{}: got mask {} for {}; want one dimension less", name(),
                            args.mask.shape(), x.shape());
    return ops::broadcast_to(ops::expand_dims(args.mask, -1), x.shape());
  }

  /// As in Keras, what is computed of 16-bit numbers is not itself of 16 bits.
  DType statistics_dtype() const {
    return size_of(compute_dtype()) == 2 ? DType::kF32 : compute_dtype();
  }
  Value wide(Value x) const { return ops::cast(x, statistics_dtype()); }

  /// x [N, …, C]
  Value normalise(Value x, Value counts, bool training) {
    const Value gamma =
        options_.scale ? wide(gamma_) : ops::fill({channels_}, statistics_dtype(), 1);
    const Value beta =
        options_.center ? wide(beta_) : ops::fill({channels_}, statistics_dtype(), 0);
    if (!training || !trainable())
      return as_floating(ops::batch_norm_inference(wide(x), gamma, beta, wide(moving_mean_),
                                                   wide(moving_variance_), options_.epsilon));
    if (options_.synchronized) return as_floating(normalise_together(wide(x), counts, gamma, beta));
    return counts.defined() ? as_floating(normalise_counted(wide(x), counts, gamma, beta))
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
    move_by_mean_of_replicas(x, batch.mean, batch.variance);
    return batch.y;
  }

  void move_by_mean_of_replicas(Value x, Value mean, Value variance) {
    const Value rows = ops::minimum(ops::num_rows(x), ops::scalar(1, DType::kI64));
    // A replica without rows has mean and variance 0 and is not counted.
    const std::vector<Value> sums =
        ops::cross_replica(std::vector<Value>{mean, variance, ops::cast(rows, statistics_dtype())},
                           ops::ReduceOp::kSum, ops::Role::kStatistic);
    const Value replicas = ops::maximum(sums[2], ops::scalar(1, statistics_dtype()));
    move_statistics(sums[0] / replicas, sums[1] / replicas, sums[2]);
  }

  /// Keras' moments of what counts: the number of elements has 1e-7 added.
  Value normalise_counted(Value x, Value counts, Value gamma, Value beta) {
    const ops::ReduceOptions others = all_but_channels(x);
    const Value none = ops::scalar(0, statistics_dtype());
    const Value number = ops::reduce_sum(ops::cast(counts, statistics_dtype()), others) + kFuzz;
    const Value mean = ops::reduce_sum(ops::where(counts, x, none), others) / number;
    const Value difference = ops::where(counts, x - mean, none);
    const Value variance = ops::reduce_sum(ops::square(difference), others) / number;
    move_by_mean_of_replicas(x, mean, variance);
    return scaled(x, mean, variance, gamma, beta);
  }

  Value scaled(Value x, Value mean, Value variance, Value gamma, Value beta) const {
    return (x - mean) * ops::rsqrt(variance + options_.epsilon) * gamma + beta;
  }

  static ops::ReduceOptions all_but_channels(Value x) {
    ops::ReduceOptions others;
    for (int64_t axis = 0; axis < x.rank() - 1; ++axis) others.axis.push_back(axis);
    return others;
  }

  static Value over_replicas(Value x) {
    return ops::cross_replica(x, ops::ReduceOp::kSum, ops::Role::kStatistic);
  }

  Value normalise_together(Value x, Value counts, Value gamma, Value beta) {
    const ops::ReduceOptions others = all_but_channels(x);
    const auto sum = [&](Value y) {
      const Value counted =
          counts.defined() ? ops::where(counts, y, ops::scalar(0, statistics_dtype())) : y;
      return over_replicas(ops::reduce_sum(counted, others));
    };
    const Value ones = ops::ones_like(x);
    const Value all = over_replicas(ops::reduce_sum(ones, others));
    const Value number = counts.defined() ? sum(ones) + kFuzz
                                          : ops::maximum(all, ops::scalar(1, statistics_dtype()));
    const Value mean = sum(x) / number;
    const Value variance = sum(ops::squared_difference(x, mean)) / number;
    move_statistics(mean, variance, all);
    return scaled(x, mean, variance, gamma, beta);
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
    const Value share = ops::where(ops::greater(count, ops::scalar(0, statistics_dtype())),
                                   ops::scalar(1 - options_.momentum, statistics_dtype()),
                                   ops::scalar(0, statistics_dtype()));
    const auto move = [&](const Variable& moving, Value batch) {
      const Value move = (ops::stop_gradient(batch) - wide(moved(moving))) * share;
      ops::assign_add(moving.shared(), ops::cast(move, moving.dtype()));
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
