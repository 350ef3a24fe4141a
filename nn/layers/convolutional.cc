#include "cohort/nn/layers/convolutional.h"

#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/pool.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

ops::Padding parse_padding(const std::string& layer, const std::string& padding) {
  internal::check_name(layer, "padding", padding, {"valid", "same"});
  return padding == "same" ? ops::Padding::kSame : ops::Padding::kValid;
}

std::array<int64_t, 2> positive(const std::string& layer, std::string_view what, Size2D size) {
  if (size.rows < 1 || size.columns < 1)
    throw InvalidArgument("{}: got {} [{}, {}]; want 1 or more", layer, what, size.rows,
                          size.columns);
  return {size.rows, size.columns};
}

void check_image(const std::string& layer, const Shape& shape) {
  if (shape.rank() == 4 && !shape[1].is_symbol() && !shape[2].is_symbol() && !shape[3].is_symbol())
    return;
  throw InvalidArgument("{}: got input {}; want rank 4, [N, H, W, C] with numbers H, W and C",
                        layer, shape);
}

class Conv2DImpl : public LayerImpl {
 public:
  explicit Conv2DImpl(Conv2D options)
      : LayerImpl("Conv2D", common_options(options)), options_(std::move(options)) {
    const Size2D& strides = options_.strides;
    const Size2D& dilation = options_.dilation_rate;
    if (options_.filters < 1 || options_.groups < 1 || options_.filters % options_.groups != 0)
      throw InvalidArgument("{}: got filters {}, groups {}; want filters a multiple of groups >= 1",
                            name(), options_.filters, options_.groups);
    positive(name(), "kernel_size", options_.kernel_size);
    conv_ = {.strides = positive(name(), "strides", strides),
             .padding = parse_padding(name(), options_.padding),
             .dilation = positive(name(), "dilation_rate", dilation),
             .groups = options_.groups};
    const bool strided = strides.rows > 1 || strides.columns > 1;
    if (strided && (dilation.rows > 1 || dilation.columns > 1))
      throw InvalidArgument("{}: got strides and dilation_rate above 1; want one of them", name());
  }

  void build(std::span<const TensorType> inputs) override {
    check_image(name(), inputs[0].shape);
    channels_ = inputs[0].shape.size(3);
    if (channels_ % options_.groups != 0)
      throw InvalidArgument("{}: got input {} and groups {}; want channels divisible by groups",
                            name(), inputs[0].shape, options_.groups);
    const Size2D& size = options_.kernel_size;
    const Shape shape{size.rows, size.columns, channels_ / options_.groups, options_.filters};
    kernel_ = add_weight("kernel", {.shape = shape,
                                    .initializer = options_.kernel_initializer,
                                    .regularizer = options_.kernel_regularizer,
                                    .constraint = options_.kernel_constraint});
    if (options_.use_bias)
      bias_ = add_weight("bias", {.shape = {options_.filters},
                                  .initializer = options_.bias_initializer,
                                  .regularizer = options_.bias_regularizer,
                                  .constraint = options_.bias_constraint});
  }

  std::vector<Value> call(const CallArgs& args) override {
    const Value x = as_floating(args.input());
    check_image(name(), x.shape());
    if (x.shape().size(3) != channels_)
      throw InvalidArgument("{}: got input {}; want {} channels", name(), x.shape(), channels_);
    Value y = ops::conv2d(x, kernel_, conv_);
    if (options_.use_bias) y = y + bias_;
    y = options_.activation(y);
    add_activity_loss(options_.activity_regularizer, y);
    return {y};
  }

 private:
  Conv2D options_;
  ops::Conv2DOptions conv_;
  int64_t channels_ = 0;
  Variable kernel_, bias_;
};

using Pool = Value (*)(Value, ops::Pool2DOptions);

class Pooling2DImpl : public LayerImpl {
 public:
  template <class Options>
  Pooling2DImpl(std::string type, Pool pool, const Options& options)
      : LayerImpl(std::move(type), common_options(options)),
        pool_(pool),
        options_{
            .pool_size = positive(name(), "pool_size", options.pool_size),
            .strides = positive(name(), "strides", options.strides.value_or(options.pool_size)),
            .padding = parse_padding(name(), options.padding)} {}

  std::vector<Value> call(const CallArgs& args) override {
    check_image(name(), args.input().shape());
    return {pool_(as_floating(args.input()), options_)};
  }

 private:
  Pool pool_;
  ops::Pool2DOptions options_;
};

using GlobalPool = Value (*)(Value, bool);

class GlobalPooling2DImpl : public LayerImpl {
 public:
  template <class Options>
  GlobalPooling2DImpl(std::string type, GlobalPool pool, const Options& options)
      : LayerImpl(std::move(type), common_options(options)),
        pool_(pool),
        keepdims_(options.keepdims) {}

  std::vector<Value> call(const CallArgs& args) override {
    check_image(name(), args.input().shape());
    return {pool_(as_floating(args.input()), keepdims_)};
  }

 private:
  GlobalPool pool_;
  bool keepdims_;
};

}  // namespace

Conv2D::operator Layer() const { return make<Conv2DImpl>(*this); }
MaxPooling2D::operator Layer() const {
  return make<Pooling2DImpl>("MaxPooling2D", ops::max_pool2d, *this);
}
AveragePooling2D::operator Layer() const {
  return make<Pooling2DImpl>("AveragePooling2D", ops::avg_pool2d, *this);
}
GlobalAveragePooling2D::operator Layer() const {
  return make<GlobalPooling2DImpl>("GlobalAveragePooling2D", ops::global_avg_pool2d, *this);
}
GlobalMaxPooling2D::operator Layer() const {
  return make<GlobalPooling2DImpl>("GlobalMaxPooling2D", ops::global_max_pool2d, *this);
}

}  // namespace cohort::nn
