#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/symbol.h"
#include "cohort/core/tensor.h"

namespace cohort::testing {

/// Records ops on the inputs of a graph.
using Body = std::function<std::vector<Value>(std::span<const Value>)>;

/// Traces `body` for these inputs, compiles it for cpu:0 and runs it once. Inputs numbered in
/// `batched` have the symbol N for their dimension 0 while the graph is built.
std::vector<Tensor> evaluate(const Body& body, std::vector<Tensor> inputs,
                             std::span<const int> batched = {});

/// Numbers between -1 and 1 that depend on the seed only, none within 0.05 of zero.
Tensor random_tensor(const Shape& shape, uint32_t seed, DType dtype = DType::kF64);

/// The elements as doubles, in row-major order.
std::vector<double> elements(const Tensor& tensor);

/// Expects |got - want| <= tolerance * max(1, |want|) in every element, and equal shapes; NaN
/// equals NaN.
void expect_near(const Tensor& got, const Tensor& want, double tolerance, std::string_view what);

}  // namespace cohort::testing
