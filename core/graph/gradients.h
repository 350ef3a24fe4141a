#pragma once

#include <span>
#include <vector>

#include "cohort/core/graph/op.h"

namespace cohort {

/// Extends the graph of `ys` backwards: the gradient of sum over y of sum(y * dy) with respect to
/// each of `xs`, by reverse accumulation over the ops' gradient rules. `dys` are given one for each
/// y, or left empty for ones. A gradient is absent where no differentiable path leads from y to x;
/// several contributions to one value are added, slices among themselves by concatenation. The
/// nodes made are named after the forward node, under "gradients/", and of the backward stage.
/// Second order: call it on its results. Throws Unimplemented naming the op when the path passes an
/// op without gradient.
std::vector<Gradient> gradients(std::span<const Value> ys, std::span<const Value> xs,
                                std::span<const Value> dys = {});
std::vector<Gradient> gradients(Value y, std::span<const Value> xs);

}  // namespace cohort
