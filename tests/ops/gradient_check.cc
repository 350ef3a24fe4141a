#include "tests/ops/gradient_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::testing {
namespace {

/// A graph of f and its gradients, compiled, with its inputs in reach.
class Probe {
 public:
  Probe(const std::function<Value(std::span<const Value>)>& function,
        const std::vector<Tensor>& inputs, const GradientCheck& options, int order)
      : graph_(default_runtime().ops()) {
    GraphScope scope(graph_);
    for (size_t i = 0; i < inputs.size(); ++i) add_input(inputs[i].clone(), options.batched);
    for (size_t i = 0; i < inputs.size(); ++i) {
      xs_.push_back(graph_.placeholders()[i]->output());
      if (inputs[i].dtype() == DType::kF64) checked_.push_back(i);
    }
    std::vector<Value> wanted;
    for (size_t i : checked_) wanted.push_back(xs_[i]);
    Value f = weighted_sum(function(xs_));
    std::vector<Gradient> d = gradients(f, wanted);
    for (int k = 1; k < order; ++k) {
      f = weighted_sum_of(d);
      if (f.defined()) d = gradients(f, wanted);
    }
    std::vector<Value> fetches{f};
    for (const Gradient& g : d) {
      present_.push_back(!g.absent());
      if (!g.absent()) fetches.push_back(g.dense());
    }
    if (!f.defined()) return;
    Device& cpu = default_runtime().device("/cpu:0");
    cpu.bind_thread();
    executable_ = compile(default_runtime(), graph_, fetches, bindings_, {.device = &cpu});
    for (size_t i = 0; i < memory_.size(); ++i)
      executable_->set_input(static_cast<int>(i), memory_[i].raw());
  }

  /// False when no gradient depends on any input (nothing to check at this order).
  bool valid() const { return executable_ != nullptr; }
  const std::vector<size_t>& checked() const { return checked_; }
  Tensor& input(size_t i) { return memory_[i]; }

  double value() {
    executable_->run();
    return executable_->output(0).item<double>();
  }
  /// One for each checked input; zeros where absent.
  std::vector<Tensor> gradients_now() {
    executable_->run();
    std::vector<Tensor> result;
    for (size_t i = 0, fetch = 1; i < checked_.size(); ++i)
      result.push_back(present_[i] ? executable_->output(static_cast<int>(fetch++))
                                   : Tensor(DType::kF64, memory_[checked_[i]].shape()));
    return result;
  }

 private:
  Value add_input(Tensor tensor, const std::vector<int>& batched) {
    const int number = static_cast<int>(memory_.size());
    Shape shape = tensor.shape();
    for (int i : batched)
      if (i == number) {
        bindings_["N"] = shape.size(0);
        shape[0] = batch_dim();
      }
    memory_.push_back(std::move(tensor));
    return graph_.placeholder("x" + std::to_string(number), {memory_.back().dtype(), shape});
  }

  Value weighted_sum(Value y) {
    const auto seed = static_cast<uint32_t>(100 + memory_.size());
    memory_.push_back(random_tensor(cohort::bind(y.shape(), bindings_), seed));
    const Value w = graph_.placeholder("w" + std::to_string(memory_.size()), y.type());
    return ops::reduce_sum(y * w);
  }

  Value weighted_sum_of(const std::vector<Gradient>& gradients) {
    Value total;
    for (const Gradient& g : gradients) {
      if (g.absent()) continue;
      const Value sum = weighted_sum(g.dense());
      total = total.defined() ? total + sum : sum;
    }
    return total;
  }

  Graph graph_;
  SymbolBindings bindings_;
  std::vector<Tensor> memory_;
  std::vector<Value> xs_;
  std::vector<size_t> checked_;
  std::vector<bool> present_;
  std::unique_ptr<Executable> executable_;
};

}  // namespace

void check_gradients(const std::function<Value(std::span<const Value>)>& function,
                     const std::vector<Tensor>& inputs, const GradientCheck& options) {
  for (int order = 1; order <= options.order; ++order) {
    Probe probe(function, inputs, options, order);
    if (!probe.valid()) return;
    const std::vector<Tensor> gradients = probe.gradients_now();
    for (size_t k = 0; k < gradients.size(); ++k) {
      Tensor& x = probe.input(probe.checked()[k]);
      ASSERT_EQ(gradients[k].shape(), x.shape());
      const std::vector<double> got = elements(gradients[k]);
      for (size_t e = 0; e < got.size(); ++e) {
        double& element = x.data<double>()[e];
        const double kept = element;
        element = kept + options.step;
        const double above = probe.value();
        element = kept - options.step;
        const double below = probe.value();
        element = kept;
        const double want = (above - below) / (2 * options.step);
        ASSERT_LE(std::abs(got[e] - want), options.tolerance * std::max(1.0, std::abs(want)))
            << "order " << order << ", input " << probe.checked()[k] << ", element " << e
            << ": got " << got[e] << "; want " << want;
      }
    }
  }
}

}  // namespace cohort::testing
