#pragma once

#include <optional>

#include "cohort/data/internal/node.h"
#include "cohort/data/iterator.h"

namespace cohort::data {

/// Of a node's description.
uint64_t fingerprint_of(const Node& node);

class Iterator::State {
 public:
  /// Starts behind `position`, for the rest of its epoch and `epochs` - 1 more.
  State(NodePtr node, const Position& position, int64_t epochs);

  bool next(Element& out);
  const Position& position() const { return position_; }
  const RowRange& row_range() const { return row_range_; }

  Element current;  ///< what Iterator::next() points to

 private:
  void pass_over(int64_t elements);
  void note_rows(Element& out);

  NodePtr node_;
  Position position_;
  int64_t epochs_left_;
  bool says_rows_;
  RowRange row_range_;
  Tensor range_;  ///< the tensor that said row_range_, for its memory
  std::optional<Error> error_;
  FlowPtr<Element> flow_;
};

}  // namespace cohort::data
