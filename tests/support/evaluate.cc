#include "tests/support/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "cohort/core/graph/scope.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort::testing {

std::vector<Tensor> evaluate(const Body& body, std::vector<Tensor> inputs,
                             std::span<const int> batched) {
  Runtime& runtime = default_runtime();
  Graph graph(runtime.ops());
  GraphScope scope(graph);
  SymbolBindings bindings;
  std::vector<Value> xs;
  for (Tensor& input : inputs) {
    input = input.contiguous();
    Shape shape = input.shape();
    const int i = static_cast<int>(xs.size());
    if (std::find(batched.begin(), batched.end(), i) != batched.end()) {
      bindings["N"] = shape.size(0);
      shape[0] = batch_dim();
    }
    xs.push_back(graph.placeholder("x" + std::to_string(i), {input.dtype(), shape}));
  }
  const std::vector<Value> ys = body(xs);
  Device& cpu = runtime.device("/cpu:0");
  cpu.bind_thread();
  const auto executable = compile(runtime, graph, ys, bindings, {.device = &cpu});
  for (size_t i = 0; i < inputs.size(); ++i)
    executable->set_input(static_cast<int>(i), inputs[i].raw());
  executable->run();
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < ys.size(); ++i) outputs.push_back(executable->output(static_cast<int>(i)));
  return outputs;
}

Tensor random_tensor(const Shape& shape, uint32_t seed, DType dtype) {
  std::mt19937 random(seed);
  Tensor tensor(DType::kF64, shape);
  double* values = tensor.data<double>();
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const double u = static_cast<double>(random()) / 4294967296.0 * 1.9 - 0.95;
    values[i] = u + std::copysign(0.05, u);
  }
  return tensor.cast(dtype);
}

std::vector<double> elements(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::kF64).contiguous();
  const auto values = wide.values<double>();
  return {values.begin(), values.end()};
}

void expect_near(const Tensor& got, const Tensor& want, double tolerance, std::string_view what) {
  ASSERT_EQ(got.shape(), want.shape()) << what;
  const std::vector<double> a = elements(got), b = elements(want);
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(b[i]) ? std::isnan(a[i]) : a[i] == b[i]) continue;
    ASSERT_LE(std::abs(a[i] - b[i]), tolerance * std::max(1.0, std::abs(b[i])))
        << what << ": element " << i << ": got " << a[i] << "; want " << b[i];
  }
}

}  // namespace cohort::testing
