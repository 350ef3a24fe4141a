#include "cohort/nn/layers/core.h"

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/nn/internal/shapes.h"

namespace cohort::nn {
namespace {

class ActivationImpl : public LayerImpl {
 public:
  explicit ActivationImpl(Activation options)
      : LayerImpl("Activation", common_options(options)),
        activation_(std::move(options.activation)) {}
  std::vector<Value> call(const CallArgs& args) override {
    return {activation_(as_floating(args.input()))};
  }
  bool supports_masking() const override { return true; }

 private:
  ActivationFunction activation_;
};

class FlattenImpl : public LayerImpl {
 public:
  explicit FlattenImpl(const Flatten& options) : LayerImpl("Flatten", common_options(options)) {}
  std::vector<Value> call(const CallArgs& args) override {
    const Value x = args.input();
    if (x.rank() == 0) throw InvalidArgument("{}: got a scalar; want [N, …]", name());
    return {x.rank() == 1 ? ops::expand_dims(x, 1) : ops::flatten(x, 1, x.rank())};
  }
};

class ReshapeImpl : public LayerImpl {
 public:
  explicit ReshapeImpl(const Reshape& options)
      : LayerImpl("Reshape", common_options(options)), target_(options.target_shape) {
    if (std::count(target_.begin(), target_.end(), -1) > 1 ||
        std::any_of(target_.begin(), target_.end(), [](int64_t d) { return d < -1; }))
      throw InvalidArgument("{}: got a target_shape with a negative dimension; want one -1 at most",
                            name());
  }
  std::vector<Value> call(const CallArgs& args) override {
    const Value x = args.input();
    const int64_t elements = x.shape().slice(1).num_elements();
    int64_t known = 1;
    for (const int64_t d : target_) known *= d < 0 ? 1 : d;
    Shape shape{x.shape()[0]};
    for (const int64_t d : target_)
      shape.push_back(d < 0 ? elements / std::max<int64_t>(1, known) : d);
    if (shape.slice(1).num_elements() != elements)
      throw InvalidArgument("{}: got input {} for target shape {}; want as many elements", name(),
                            x.shape(), shape);
    return {ops::reshape(x, shape)};
  }

 private:
  std::vector<int64_t> target_;
};

class DropoutImpl : public LayerImpl {
 public:
  explicit DropoutImpl(const Dropout& options)
      : LayerImpl("Dropout", common_options(options)), rate_(options.rate), seed_(options.seed) {
    if (!(rate_ >= 0 && rate_ < 1))
      throw InvalidArgument("{}: got rate {}; want 0 <= rate < 1", name(), rate_);
    if (seed_ && *seed_ < 0)
      throw InvalidArgument("{}: got seed {}; want 0 or more", name(), *seed_);
  }
  std::vector<Value> call(const CallArgs& args) override {
    if (!args.training || rate_ == 0) return {args.input()};
    return {ops::dropout(as_floating(args.input()), rate_, seed_.value_or(-1))};
  }
  bool supports_masking() const override { return true; }

 private:
  double rate_;
  std::optional<int64_t> seed_;
};

class RescalingImpl : public LayerImpl {
 public:
  explicit RescalingImpl(const Rescaling& options)
      : LayerImpl("Rescaling", common_options(options)),
        scale_(options.scale),
        offset_(options.offset) {}
  std::vector<Value> call(const CallArgs& args) override {
    const Value y = as_floating(args.input()) * scale_;
    return {offset_ == 0 ? y : y + offset_};
  }
  bool supports_masking() const override { return true; }

 private:
  double scale_, offset_;
};

class ConcatenateImpl : public LayerImpl {
 public:
  explicit ConcatenateImpl(const Concatenate& options)
      : LayerImpl("Concatenate", common_options(options)), axis_(options.axis) {}
  std::vector<Value> call(const CallArgs& args) override {
    if (args.inputs.size() < 2)
      throw InvalidArgument("{}: got {} input; want two or more", name(), args.inputs.size());
    return {ops::concat(args.inputs, axis_)};
  }

  bool supports_masking() const override { return true; }
  /// Masks joined as the inputs are; an input without one counts everywhere.
  Value compute_mask(const CallArgs& args) const override {
    const auto is_there = [](Value mask) { return mask.defined(); };
    if (std::none_of(args.masks.begin(), args.masks.end(), is_there)) return {};
    std::vector<Value> masks;
    for (size_t i = 0; i < args.inputs.size(); ++i) {
      const Shape& shape = args.inputs[i].shape();
      if (!args.masks[i].defined())
        masks.push_back(ops::fill(shape, DType::kBool, 1));
      else if (args.masks[i].rank() < shape.rank())
        masks.push_back(ops::broadcast_to(ops::expand_dims(args.masks[i], -1), shape));
      else
        masks.push_back(args.masks[i]);
    }
    return ops::reduce_any(ops::concat(masks, axis_), {.axis = {-1}});
  }

 private:
  int64_t axis_;
};

/// Keras' rule for inputs of different ranks: dimensions of 1 behind the rows.
Value expand_to_rank(Value x, int rank) {
  while (x.rank() < rank) x = ops::expand_dims(x, 1);
  return x;
}

class AddImpl : public LayerImpl {
 public:
  explicit AddImpl(const Add& options) : LayerImpl("Add", common_options(options)) {}
  std::vector<Value> call(const CallArgs& args) override {
    if (args.inputs.size() < 2)
      throw InvalidArgument("{}: got {} input; want two or more", name(), args.inputs.size());
    const auto equal = [&](const Value& x) { return x.shape() == args.input().shape(); };
    if (std::all_of(args.inputs.begin(), args.inputs.end(), equal))
      return {ops::add_n(args.inputs)};
    int rank = 1;
    for (const Value& input : args.inputs) rank = std::max(rank, input.rank());
    Value sum = expand_to_rank(args.input(), rank);
    for (size_t i = 1; i < args.inputs.size(); ++i) {
      const Value next = expand_to_rank(args.inputs[i], rank);
      if (!internal::broadcast_by_rows(sum.shape(), next.shape())) refuse(args);
      sum = sum + next;
    }
    return {sum};
  }

  bool supports_masking() const override { return true; }
  /// What counts in one of the inputs, where all have masks.
  Value compute_mask(const CallArgs& args) const override {
    Value any;
    for (const Value& mask : args.masks) {
      if (!mask.defined()) return {};
      any = any.defined() ? ops::logical_or(any, mask) : mask;
    }
    return any;
  }

 private:
  [[noreturn]] void refuse(const CallArgs& args) const {
    std::string shapes;
    for (const Value& input : args.inputs)
      shapes += (shapes.empty() ? "" : " and ") + input.shape().to_string();
    throw InvalidArgument("{}: got inputs {}; want equal shapes, or such as broadcast row by row",
                          name(), shapes);
  }
};

class MaskingImpl : public LayerImpl {
 public:
  explicit MaskingImpl(const Masking& options)
      : LayerImpl("Masking", common_options(options)), mask_value_(options.mask_value) {}

  std::vector<Value> call(const CallArgs& args) override {
    const Value x = args.input();
    if (x.rank() < 2) throw InvalidArgument("{}: got input {}; want [N, …, K]", name(), x.shape());
    return {ops::where(ops::expand_dims(compute_mask(args), -1), x, ops::scalar(0, x.dtype()))};
  }

  bool supports_masking() const override { return true; }
  Value compute_mask(const CallArgs& args) const override {
    const Value x = args.input();
    return ops::reduce_any(ops::not_equal(x, ops::scalar(mask_value_, x.dtype())), {.axis = {-1}});
  }

 private:
  double mask_value_;
};

}  // namespace

Activation::operator Layer() const { return make<ActivationImpl>(*this); }
Flatten::operator Layer() const { return make<FlattenImpl>(*this); }
Reshape::operator Layer() const { return make<ReshapeImpl>(*this); }
Dropout::operator Layer() const { return make<DropoutImpl>(*this); }
Rescaling::operator Layer() const { return make<RescalingImpl>(*this); }
Concatenate::operator Layer() const { return make<ConcatenateImpl>(*this); }
Add::operator Layer() const { return make<AddImpl>(*this); }
Masking::operator Layer() const { return make<MaskingImpl>(*this); }

}  // namespace cohort::nn
