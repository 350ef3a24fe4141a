#include "tests/support/gradient_check.h"

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

/// What f depends on: an input, whose elements the graph reads in place, or a variable.
class Point {
 public:
  Point(std::string name, Tensor values, std::shared_ptr<VariableState> variable = nullptr)
      : name_(std::move(name)), values_(std::move(values)), variable_(std::move(variable)) {}

  const std::string& name() const { return name_; }
  const Shape& shape() const { return values_.shape(); }
  double at(size_t element) const { return values_.data<double>()[element]; }
  void set(size_t element, double value) {
    values_.data<double>()[element] = value;
    if (variable_) variable_->assign(values_);
  }

 private:
  std::string name_;
  Tensor values_;
  std::shared_ptr<VariableState> variable_;
};

/// A graph of f and its gradients, compiled, with what it depends on in reach.
class Probe {
 public:
  Probe(const std::function<Value(std::span<const Value>)>& function,
        const std::vector<Tensor>& inputs, const GradientCheck& options, int order)
      : graph_(default_runtime().ops()) {
    GraphScope scope(graph_);
    for (size_t i = 0; i < inputs.size(); ++i) add_input(inputs[i].clone(), options.batched);
    for (size_t i = 0; i < inputs.size(); ++i) {
      xs_.push_back(graph_.placeholders()[i]->output());
      if (inputs[i].dtype() == DType::kF64) want("input " + std::to_string(i), memory_[i], xs_[i]);
    }
    for (const auto& variable : options.variables)
      if (variable->dtype() == DType::kF64)
        want(variable->name(), variable->value(), graph_.read(variable), variable);
    Value f = weighted_sum(function(xs_));
    std::vector<Gradient> d = gradients(f, wanted_);
    for (int k = 1; k < order; ++k) {
      f = weighted_sum_of(d);
      if (f.defined()) d = gradients(f, wanted_);
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
  std::vector<Point>& points() { return points_; }

  double value() {
    executable_->run();
    return executable_->output(0).item<double>();
  }
  /// One for each point; zeros where absent.
  std::vector<Tensor> gradients_now() {
    executable_->run();
    std::vector<Tensor> result;
    for (size_t i = 0, fetch = 1; i < points_.size(); ++i)
      result.push_back(present_[i] ? executable_->output(static_cast<int>(fetch++))
                                   : Tensor(DType::kF64, points_[i].shape()));
    return result;
  }

 private:
  void want(const std::string& name, const Tensor& values, Value in_graph,
            const std::shared_ptr<VariableState>& variable = nullptr) {
    points_.emplace_back(name, values, variable);
    wanted_.push_back(in_graph);
  }

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
  std::vector<Value> xs_, wanted_;
  std::vector<Point> points_;
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
      Point& x = probe.points()[k];
      ASSERT_EQ(gradients[k].shape(), x.shape());
      const std::vector<double> got = elements(gradients[k]);
      for (size_t e = 0; e < got.size(); ++e) {
        const double kept = x.at(e);
        x.set(e, kept + options.step);
        const double above = probe.value();
        x.set(e, kept - options.step);
        const double below = probe.value();
        x.set(e, kept);
        const double want = (above - below) / (2 * options.step);
        ASSERT_LE(std::abs(got[e] - want), options.tolerance * std::max(1.0, std::abs(want)))
            << "order " << order << ", " << x.name() << ", element " << e << ": got " << got[e]
            << "; want " << want;
      }
    }
  }
}

}  // namespace cohort::testing
