#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort {

/// What the plain symbols of a graph become: numbers, or symbols of another graph.
using DimBindings = std::map<std::string, Dim>;

/// Gives the variable to be read in the place of another one.
using VariableSubstitution =
    std::function<std::shared_ptr<VariableState>(const std::shared_ptr<VariableState>&)>;

/// Throws FailedPrecondition, naming the node, unless a graph is a function of its placeholders and
/// of variables that it reads: nothing in it writes, is exchanged between replicas or holds a
/// graph.
void check_is_function(const Graph& graph);

/// Records in `to` what `results` of such a graph need, with `arguments` in the place of its
/// placeholders and `bindings` in that of their symbols; scopes count. Returns what the results
/// have become. Throws what the shape rules do.
std::vector<Value> splice(const Graph& from, std::span<const Value> results, Graph& to,
                          std::span<const Value> arguments, const DimBindings& bindings = {},
                          const VariableSubstitution& variables = {});

}  // namespace cohort
