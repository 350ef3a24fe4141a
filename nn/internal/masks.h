#pragma once

#include "cohort/core/graph/graph.h"

/// Masks go with the values of a graph that layers made, from layer to layer and to losses and
/// metrics: a mask is an Identity node, called after the value that it belongs to.
namespace cohort::nn::internal {

/// Undefined: none.
Value mask_of(Value x);
/// Of a value that has none. Does nothing for an undefined mask.
void set_mask(Value x, Value mask);
/// x, but with this mask: another value where x has one already.
Value with_mask(Value x, Value mask);
/// `mask` as bool. InvalidArgument, which begins with `where`, unless its dimensions are the first
/// ones of x.
Value checked_mask(Value mask, Value x, std::string_view where);

}  // namespace cohort::nn::internal
