#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cohort/data/internal/node.h"

/// Batches put together from elements that exist already.
namespace cohort::data {

/// Batches of sizes[0], sizes[1], … in turn, over and over. Where the input gives fewer rows than a
/// size asks for, the batch is short and the last one. A size 0 is an empty batch.
struct Sizes {
  std::vector<int64_t> sizes;
  bool drop_remainder = false;

  int64_t total() const;
  bool are_equal() const;
  /// How many batches `rows` rows make; kInfiniteCardinality and kUnknownCardinality stay.
  int64_t num_batches(int64_t rows) const;
};

/// Which batch of a pass comes next, and whether one does.
class Turns {
 public:
  explicit Turns(Sizes sizes) : sizes_(std::move(sizes)) {}

  /// The rows that the next batch asks for; nothing after the last.
  std::optional<int64_t> next_size() {
    if (ended_) return std::nullopt;
    const int64_t size = sizes_.sizes[turn_];
    turn_ = turn_ + 1 == sizes_.sizes.size() ? 0 : turn_ + 1;
    return size;
  }
  /// Whether `got` rows where `size` were asked for make a batch.
  bool accepts(int64_t got, int64_t size) {
    ended_ = got < size;
    return !ended_ || (got > 0 && !sizes_.drop_remainder);
  }
  /// Passes over up to `count` batches and returns how many there were; `skip_rows(rows)` does it
  /// for rows. Whole rounds of the sizes are one call.
  template <class SkipRows>
  int64_t skip(int64_t count, SkipRows skip_rows) {
    const int64_t round = std::ssize(sizes_.sizes), total = sizes_.total();
    int64_t skipped = 0;
    while (skipped < count && !ended_) {
      const int64_t rounds =
          turn_ == 0 ? std::min((count - skipped) / round,
                                std::numeric_limits<int64_t>::max() / std::max(total, round))
                     : 0;
      if (rounds == 0) {
        const int64_t size = *next_size();
        skipped += accepts(skip_rows(size), size);
      } else {
        const int64_t rows = skip_rows(rounds * total);
        ended_ = rows < rounds * total;
        skipped += ended_ ? sizes_.num_batches(rows) : rounds * round;
      }
    }
    return skipped;
  }

 private:
  Sizes sizes_;
  size_t turn_ = 0;
  bool ended_ = false;
};

/// What the elements of a source are to a batch.
enum class Source { kRow, kRows };

/// Makes `out` a batch of `size` rows like those of `source`; contents unspecified.
void begin_batch(Element& out, const Element& source, Source kind, int64_t size);
/// Copies rows [first, first + count) of `source` (0 and 1 for kRow) to rows `at`… of `out`. Throws
/// InvalidArgument beginning with `where` when they are not like those that `out` was begun for.
void append_rows(Element& out, int64_t at, const Element& source, Source kind, int64_t first,
                 int64_t count, std::string_view where);
/// Makes `out` a batch without rows; `row_spec` describes one row, symbols in it count as 0.
void make_empty_batch(Element& out, const ElementSpec& row_spec);
/// Keeps the first `rows` rows.
void shorten_batch(Element& out, int64_t rows);

}  // namespace cohort::data
