#pragma once

#include <functional>
#include <string>

#include "cohort/data/internal/stack.h"

namespace cohort::data {

/// What a batch node is made of, for steps after it that can work on its input instead.
struct BatchParts {
  NodePtr input;
  Sizes sizes;
  bool fixed_size = false;  ///< every batch has sizes[0] rows
};

/// A step over `input` that is a batch of `parts`. `again` makes it over another input.
NodePtr make_batch(BatchParts parts, NodePtr input, std::function<NodePtr(NodePtr)> again,
                   std::string description);
/// nullptr where `node` is no batch.
const BatchParts* batch_parts(const Node& node);

}  // namespace cohort::data
