#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cohort/core/shape.h"

/// Dimensions that follow from others. The result of arithmetic on symbols is a symbol whose name
/// is a polynomial in canonical form ("2*N*T+N+3": terms in order, factors in order), so that equal
/// expressions are equal symbols. Names of plain symbols hold no '+', '-' or '*'.
namespace cohort {

/// Values of the symbols of a graph: {"N": 32}.
using SymbolBindings = std::map<std::string, int64_t>;

Dim add(const Dim& a, const Dim& b);
Dim subtract(const Dim& a, const Dim& b);  ///< throws InvalidArgument when it is a number below 0
Dim multiply(const Dim& a, const Dim& b);
/// a / b where that is exact whatever the symbols stand for; none otherwise, and none for b = 0.
std::optional<Dim> divide(const Dim& a, const Dim& b);

/// The product of all dimensions: a number or a derived symbol.
Dim num_elements(const Shape& shape);
Dim num_elements(const Shape& shape, int begin, int end);

/// The number that a dimension takes under `bindings`; a symbol that they do not name stays as it
/// is. Throws InvalidArgument when a derived size comes out negative.
Dim bind(const Dim& dim, const SymbolBindings& bindings);
Shape bind(const Shape& shape, const SymbolBindings& bindings);

}  // namespace cohort
