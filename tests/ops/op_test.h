#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/register.h"
#include "tests/support/expect_error.h"

namespace cohort::testing {

/// A graph to record ops into, with every op known.
class OpTest : public ::testing::Test {
 protected:
  OpTest() { ops::register_ops(registry_); }

  /// A new input of the graph.
  Value input(Shape shape, DType dtype = DType::kF32) {
    return graph_.placeholder("x" + std::to_string(graph_.placeholders().size()),
                              {dtype, std::move(shape)});
  }
  /// The gradient of sum(y) with respect to x.
  Gradient gradient(Value y, Value x) {
    return gradients(y, std::span<const Value>(&x, 1)).front();
  }
  /// How many nodes of an op the graph holds.
  int count(std::string_view op) const {
    int n = 0;
    for (const auto& node : graph_.nodes()) n += node->op_name() == op;
    return n;
  }

  const Dim N{std::string("N")}, M{std::string("M")}, T{std::string("T")};
  OpRegistry registry_;
  Graph graph_{registry_};
  GraphScope scope_{graph_};
};

}  // namespace cohort::testing
