#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

#include "cohort/data/element.h"

namespace cohort::data {

/// Which pass over a dataset to make.
struct IterateOptions {
  /// Key of every shuffle, together with the shuffle's own seed and the epoch.
  uint64_t seed = 0;
  /// The first epoch. Equal (seed, epoch) give equal order, on every run and machine.
  int64_t epoch = 0;
  /// How many epochs follow each other; next() reports the end of each once. A prefetching dataset
  /// is already at work on the next epoch while the last batches of this one are read.
  int64_t epochs = 1;
};

/// A part of a batch's rows: as many as the element has, from number `offset` on.
struct RowRange {
  int64_t offset = 0;
  int64_t global_rows = 0;  ///< rows of the whole batch
};

/// Where an iterator stands: a value that can be kept in a checkpoint. Dataset::resume continues
/// there on an equal dataset, with the same elements in the same order.
struct Position {
  uint64_t seed = 0;
  int64_t epoch = 0;
  int64_t element = 0;       ///< elements of this epoch that were handed out
  uint64_t fingerprint = 0;  ///< of the dataset's description

  /// 40 bytes: "CDP1", version, the four numbers, little-endian.
  std::string to_bytes() const;
  /// Throws DataLoss when `bytes` is not what to_bytes made.
  static Position from_bytes(std::string_view bytes);
  bool operator==(const Position&) const = default;
};

/// A running pass over a dataset; made by Dataset::iterate. Owns the background threads of the
/// pass; they end before the destructor returns. Move-only; one thread at a time.
///
/// An error (a user's function that throws, unequal shapes in a batch) is thrown by the call of
/// next that would have returned the element, as cohort::Error, and by every call after it.
class Iterator {
 public:
  class State;
  explicit Iterator(std::unique_ptr<State> state);
  Iterator(Iterator&&) noexcept;
  Iterator& operator=(Iterator&&) noexcept;
  ~Iterator();

  /// The next element, or nullptr at the end of an epoch. The element lives in the iterator and is
  /// replaced by the next call; a tensor handle copied out of it keeps its own memory for as long
  /// as it is held. With prefetch a call neither allocates nor locks nor enters the kernel while
  /// the background thread keeps up.
  const Element* next();
  /// The same, into `out`, whose tensors' memory is used again where nobody else holds it.
  /// False at the end of an epoch; `out` is unspecified then.
  bool next(Element& out);

  /// Which rows of their batch the last element handed out holds: all, or after batch_rows a part.
  const RowRange& row_range() const;

  /// Behind the last element handed out. After the end of an epoch: the start of the following one.
  Position position() const;

  /// For range-for: the elements that are left of this epoch.
  class Cursor {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    explicit Cursor(Iterator* iterator) : iterator_(iterator), element_(iterator->next()) {}
    const Element& operator*() const { return *element_; }
    const Element* operator->() const { return element_; }
    Cursor& operator++() {
      element_ = iterator_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return element_ == nullptr; }

   private:
    Iterator* iterator_;
    const Element* element_;
  };
  Cursor begin() { return Cursor(this); }
  std::default_sentinel_t end() const { return std::default_sentinel; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace cohort::data
