#pragma once

#include <optional>

#include "data/internal/node.h"
#include "data/iterator.h"

namespace cohort::data {

/// Of a node's description.
uint64_t fingerprint_of(const Node& node);

class Iterator::State {
 public:
  /// Starts behind `position`, for the rest of its epoch and `epochs` - 1 more.
  State(NodePtr node, const Position& position, int64_t epochs);

  bool next(Element& out);
  const Position& position() const { return position_; }

  Element current;  ///< what Iterator::next() points to

 private:
  NodePtr node_;
  Position position_;
  int64_t epochs_left_;
  std::optional<Error> error_;
  FlowPtr<Element> flow_;
};

}  // namespace cohort::data
