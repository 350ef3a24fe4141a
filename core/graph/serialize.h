#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/wire/hash.h"

namespace cohort {

/// The one canonical serialised form of a graph: graph.proto, on the wire as Protobuf. Variables
/// appear by name, dtype, shape and options, without values; constants with theirs. Symbols stay
/// symbols. Equal constructions give equal bytes on every machine.
std::string serialize(const Graph& graph);

/// Tells graphs apart: the hash of the canonical form. Ranks compare it before they train.
wire::Hash128 graph_hash(const Graph& graph);

/// Gives the variable that a serialised graph names. It must have this dtype and shape.
using VariableSource = std::function<std::shared_ptr<VariableState>(
    DType dtype, const Shape& shape, const VariableOptions& options)>;

/// Rebuilds a graph; serialize() of it gives `bytes` again. Types are inferred anew. Without
/// `variables`, new ones of zeros are made. Throws DataLoss on bytes that are no graph (truncated,
/// corrupted, inconsistent), NotFound on an op that `ops` lacks.
std::unique_ptr<Graph> deserialize(std::string_view bytes, const OpRegistry& ops,
                                   const VariableSource& variables = {});

/// Tensors as bytes for another process: repeated Tensor messages of graph.proto, field 1.
std::string serialize_tensors(const std::vector<Tensor>& tensors);
/// Throws DataLoss, beginning with `where`, on bytes that are not tensors.
std::vector<Tensor> deserialize_tensors(std::string_view bytes, std::string_view where);

/// The nodes so that each comes after its inputs and control inputs; otherwise in creation order.
std::vector<const Node*> topological_order(const Graph& graph);

}  // namespace cohort
