#include "cohort/nn/layers/core.h"

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/random.h"
#include "cohort/nn/internal/shapes.h"

namespace cohort::nn {
namespace {

template <class Options>
LayerOptions common(const Options& options) {
  return {.trainable = options.trainable, .dtype = options.dtype, .name = options.name};
}

class ActivationImpl : public LayerImpl {
 public:
  explicit ActivationImpl(ActivationOptions options)
      : LayerImpl("Activation", common(options)), activation_(std::move(options.activation)) {}
  std::vector<Value> call(const CallArgs& args) override {
    return {activation_(as_floating(args.input()))};
  }

 private:
  ActivationFunction activation_;
};

class FlattenImpl : public LayerImpl {
 public:
  explicit FlattenImpl(const FlattenOptions& options) : LayerImpl("Flatten", common(options)) {}
  std::vector<Value> call(const CallArgs& args) override {
    const Value x = args.input();
    if (x.rank() == 0) throw InvalidArgument("{}: got a scalar; want [N, …]", name());
    return {x.rank() == 1 ? ops::expand_dims(x, 1) : ops::flatten(x, 1, x.rank())};
  }
};

class ReshapeImpl : public LayerImpl {
 public:
  explicit ReshapeImpl(const ReshapeOptions& options)
      : LayerImpl("Reshape", common(options)), target_(options.target_shape) {
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
  explicit DropoutImpl(const DropoutOptions& options)
      : LayerImpl("Dropout", common(options)), rate_(options.rate), seed_(options.seed) {
    if (!(rate_ >= 0 && rate_ < 1))
      throw InvalidArgument("{}: got rate {}; want 0 <= rate < 1", name(), rate_);
    if (seed_ && *seed_ < 0)
      throw InvalidArgument("{}: got seed {}; want 0 or more", name(), *seed_);
  }
  std::vector<Value> call(const CallArgs& args) override {
    if (!args.training || rate_ == 0) return {args.input()};
    return {ops::dropout(as_floating(args.input()), rate_, seed_.value_or(-1))};
  }

 private:
  double rate_;
  std::optional<int64_t> seed_;
};

class RescalingImpl : public LayerImpl {
 public:
  explicit RescalingImpl(const RescalingOptions& options)
      : LayerImpl("Rescaling", common(options)), scale_(options.scale), offset_(options.offset) {}
  std::vector<Value> call(const CallArgs& args) override {
    const Value y = as_floating(args.input()) * scale_;
    return {offset_ == 0 ? y : y + offset_};
  }

 private:
  double scale_, offset_;
};

class ConcatenateImpl : public LayerImpl {
 public:
  explicit ConcatenateImpl(const ConcatenateOptions& options)
      : LayerImpl("Concatenate", common(options)), axis_(options.axis) {}
  std::vector<Value> call(const CallArgs& args) override {
    if (args.inputs.size() < 2)
      throw InvalidArgument("{}: got {} input; want two or more", name(), args.inputs.size());
    return {ops::concat(args.inputs, axis_)};
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
  explicit AddImpl(const AddOptions& options) : LayerImpl("Add", common(options)) {}
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

 private:
  [[noreturn]] void refuse(const CallArgs& args) const {
    std::string shapes;
    for (const Value& input : args.inputs)
      shapes += (shapes.empty() ? "" : " and ") + input.shape().to_string();
    throw InvalidArgument("{}: got inputs {}; want equal shapes, or such as broadcast row by row",
                          name(), shapes);
  }
};

}  // namespace

Activation::Activation(ActivationFunction activation)
    : Activation(ActivationOptions{.activation = std::move(activation)}) {}
Activation::Activation(ActivationOptions options)
    : Layer(std::make_shared<ActivationImpl>(std::move(options))) {}
Flatten::Flatten(FlattenOptions options) : Layer(std::make_shared<FlattenImpl>(options)) {}
Reshape::Reshape(ReshapeOptions options) : Layer(std::make_shared<ReshapeImpl>(options)) {}
Dropout::Dropout(DropoutOptions options) : Layer(std::make_shared<DropoutImpl>(options)) {}
Rescaling::Rescaling(RescalingOptions options) : Layer(std::make_shared<RescalingImpl>(options)) {}
Concatenate::Concatenate(ConcatenateOptions options)
    : Layer(std::make_shared<ConcatenateImpl>(options)) {}
Add::Add(AddOptions options) : Layer(std::make_shared<AddImpl>(options)) {}

}  // namespace cohort::nn
