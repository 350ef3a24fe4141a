#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/data/element.h"

/// What a dataset is made of. A Node is one immutable step of the description. A Flow is one
/// running pass over it. Most nodes only choose and order items; these are written once, as
/// templates over the item: an Element, or the number of a source row (`Rows`,
/// data/internal/rows.h) where everything upstream is random access, so that shuffling moves
/// numbers and a batch is one gather.
namespace cohort::data {

struct Rows;
class Node;
using NodePtr = std::shared_ptr<const Node>;

/// The items i of a pass with first <= i mod period < last.
struct ItemPattern {
  int64_t period = 1;
  int64_t first = 0;
  int64_t last = 1;
  bool has(int64_t item) const { return item % period >= first && item % period < last; }
};

/// What distinguishes one pass from another.
struct Pass {
  uint64_t seed = 0;
  int64_t epoch = 0;
};

template <class Item>
class Flow {
 public:
  virtual ~Flow() = default;

  /// Fills `out` from the front and returns how many; fewer than out.size() only at the end, and 0
  /// from then on. Tensors found in `out` may have their memory written again if nobody shares it.
  virtual int64_t next(std::span<Item> out) = 0;

  /// Moves past up to `count` items; returns how many there were.
  virtual int64_t skip(int64_t count) {
    Item item{};
    int64_t skipped = 0;
    while (skipped < count && next({&item, 1}) == 1) ++skipped;
    return skipped;
  }

  /// Starts background threads now rather than at the first next().
  virtual void start() {}
};

template <class Item>
using FlowPtr = std::unique_ptr<Flow<Item>>;
using RowFlow = Flow<int64_t>;
using ElementFlow = Flow<Element>;

class Node {
 public:
  virtual ~Node() = default;

  virtual FlowPtr<Element> elements(const Pass& pass) const = 0;

  /// The same where the reader needs the items of `pattern` only: others may come as empty
  /// elements.
  virtual FlowPtr<Element> selected_elements(const Pass& pass, const ItemPattern&) const {
    return elements(pass);
  }

  /// The source rows that this node's items are, where it is random access; otherwise nullptr.
  virtual std::shared_ptr<const Rows> rows() const { return nullptr; }
  /// Row numbers in order; only where rows() is not null.
  virtual FlowPtr<int64_t> row_numbers(const Pass& pass) const;

  virtual int64_t cardinality() const = 0;
  virtual ElementSpec spec() const = 0;
  /// The size of every batch but the last, where it is known from the description; otherwise -1.
  virtual int64_t batch_size() const { return -1; }
  /// Shuffles on the way here; keeps the orders of chained shuffles apart.
  virtual int num_shuffles() const { return 0; }
  /// Whether items are the input's, chosen and ordered without a look inside.
  virtual bool keeps_items() const { return false; }
  /// Whether a tensor i64 [2] follows the components that spec() describes: what
  /// Iterator::row_range() says.
  virtual bool says_rows() const { return false; }
  /// The chain in words; equal descriptions make positions exchangeable.
  virtual std::string describe() const = 0;

  /// The steps that this one reads from; none for a source.
  virtual std::vector<NodePtr> inputs() const { return {}; }
  /// This step over other inputs, as many as inputs(); nullptr where it cannot be moved.
  virtual NodePtr with_inputs(std::vector<NodePtr>) const { return nullptr; }
  /// The list of a source of files; otherwise nullptr.
  virtual const std::vector<std::string>* files() const { return nullptr; }
  /// This source over another list; only where files() is not null.
  virtual NodePtr with_files(std::vector<std::string>) const { return nullptr; }
};

/// Rows of every element but a short last one, where the description fixes them: by a batch, or by
/// the shapes of the elements, as behind a map of batches without remainder; otherwise -1.
int64_t batch_size_of(const Node& node);

/// FNV-1a.
uint64_t hash_of(std::string_view text);

/// The flow of `node`'s items in either form.
template <class Item>
FlowPtr<Item> flow_of(const Node& node, const Pass& pass) {
  if constexpr (std::is_same_v<Item, Element>) {
    return node.elements(pass);
  } else {
    return node.row_numbers(pass);
  }
}

}  // namespace cohort::data
