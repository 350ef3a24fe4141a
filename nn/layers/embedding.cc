#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/nn/layers/core.h"

namespace cohort::nn {
namespace {

class EmbeddingImpl : public LayerImpl {
 public:
  explicit EmbeddingImpl(Embedding options)
      : LayerImpl("Embedding", not_cast(common_options(options))), options_(std::move(options)) {
    if (options_.input_dim < 1 || options_.output_dim < 1)
      throw InvalidArgument("{}: got input_dim {}, output_dim {}; want 1 or more", name(),
                            options_.input_dim, options_.output_dim);
  }

  void build(std::span<const TensorType>) override {
    table_ = add_weight("embeddings", {.shape = {options_.input_dim, options_.output_dim},
                                       .initializer = options_.embeddings_initializer,
                                       .regularizer = options_.embeddings_regularizer,
                                       .constraint = options_.embeddings_constraint});
  }

  std::vector<Value> call(const CallArgs& args) override {
    Value rows = args.input();
    if (rows.dtype() != DType::kI32 && rows.dtype() != DType::kI64)
      rows = ops::cast(rows, DType::kI32);
    return {as_floating(ops::gather(table_, rows))};
  }

  bool supports_masking() const override { return options_.mask_zero; }
  Value compute_mask(const CallArgs& args) const override {
    return ops::not_equal(args.input(), ops::scalar(0, args.input().dtype()));
  }

 private:
  /// Numbers of rows are what they are, and rows are gathered before they are rounded.
  static LayerOptions not_cast(LayerOptions options) {
    options.autocast = false;
    return options;
  }

  Embedding options_;
  Variable table_;
};

}  // namespace

Embedding::operator Layer() const { return make<EmbeddingImpl>(*this); }

}  // namespace cohort::nn
