#pragma once

#include "cohort/core/runtime/rewrite.h"

namespace cohort {

/// True when the node's output is its input's memory.
bool is_alias(const Node& node);
/// The value whose memory `value` is, followed through aliases.
Value root_of(Value value);

/// Puts a Copy where sharing memory would be wrong: a variable that one commit reads while another
/// writes it; a fetched variable or input; a tensor that is worked on in place but is read by
/// others, used twice, or is not the worker's own.
GraphFunction insert_copies(const GraphFunction& function);

}  // namespace cohort
