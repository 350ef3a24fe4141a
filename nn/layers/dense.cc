#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/nn/layers/core.h"

namespace cohort::nn {
namespace {

class DenseImpl : public LayerImpl {
 public:
  explicit DenseImpl(Dense options)
      : LayerImpl("Dense", common_options(options)), options_(std::move(options)) {
    if (options_.units < 1)
      throw InvalidArgument("{}: got units {}; want 1 or more", name(), options_.units);
  }

  void build(std::span<const TensorType> inputs) override {
    check_rank(inputs[0].shape);
    features_ = last_dim(inputs[0].shape).number();
    kernel_ = add_weight("kernel", {.shape = {features_, options_.units},
                                    .initializer = options_.kernel_initializer,
                                    .regularizer = options_.kernel_regularizer,
                                    .constraint = options_.kernel_constraint});
    if (options_.use_bias)
      bias_ = add_weight("bias", {.shape = {options_.units},
                                  .initializer = options_.bias_initializer,
                                  .regularizer = options_.bias_regularizer,
                                  .constraint = options_.bias_constraint});
  }

  std::vector<Value> call(const CallArgs& args) override {
    const Value x = as_floating(args.input());
    check_rank(x.shape());
    if (!(last_dim(x.shape()) == features_))
      throw InvalidArgument("{}: got input {}; want a last dimension of {}", name(), x.shape(),
                            features_);
    Value y = ops::matmul(x, kernel_);
    if (options_.use_bias) y = y + bias_;
    y = options_.activation(y);
    add_activity_loss(options_.activity_regularizer, y);
    return {y};
  }
  bool supports_masking() const override { return true; }

 private:
  static const Dim& last_dim(const Shape& shape) { return shape[shape.rank() - 1]; }
  void check_rank(const Shape& shape) const {
    if (shape.rank() < 2 || last_dim(shape).is_symbol())
      throw InvalidArgument("{}: got input {}; want rank 2 or more, [N, …, K] with a number K",
                            name(), shape);
  }

  Dense options_;
  int64_t features_ = 0;
  Variable kernel_, bias_;
};

}  // namespace

Dense::operator Layer() const { return make<DenseImpl>(*this); }

}  // namespace cohort::nn
