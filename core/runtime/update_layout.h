#pragma once

#include "cohort/core/runtime/rewrite.h"

namespace cohort {

class Device;
class Runtime;

/// True for updates of a group of variables (OpDef::group_inputs).
bool is_update(const Node& node);
/// How many variables (equally: gradients) such a node has.
int num_updated(const Node& node);

/// Copies an update node with its variables in the order in which their gradients become ready, one
/// copy for each device on which variables are read.
void copy_update_in_layout_order(Rewriter& rewriter, const Node& node);

/// Lays out, on `device`, the parameters of each update node side by side in one block, 64-byte
/// aligned, and each kind of slot in another at equal offsets; so that one kernel walks them as
/// flat arrays. Values are kept. Does nothing where they lie so already.
void lay_out_variables(Runtime& runtime, Device& device, const Graph& graph);

}  // namespace cohort
