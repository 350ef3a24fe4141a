#pragma once

#include <string>

#include "cohort/core/graph/graph.h"

namespace cohort {

/// The graph as text, one line a node in order, nested graphs indented below their node:
///
///   dense/MatMul: float32 [N, 128] = MatMul(x, read/dense/kernel) {transpose_a=false, …}
///
/// An output other than the first is written name:1. Then, where there are any: "after a, b"
/// (control inputs), "(backward)" for nodes of that stage, and "on /device:GPU:0". Tensors show
/// their values up to 8 elements.
std::string dump_text(const Graph& graph);

/// The graph in Graphviz' language: boxes for nodes (grey: variables; bold: commits), edges
/// labelled with types, dashed for control.
std::string dump_graphviz(const Graph& graph);

}  // namespace cohort
