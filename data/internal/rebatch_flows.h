#pragma once

#include <algorithm>
#include <string_view>

#include "cohort/data/internal/rows.h"
#include "cohort/data/internal/stack.h"

/// The passes that cut batches anew, copying rows.
namespace cohort::data {

/// Reads batches and hands out their rows.
class RowReader {
 public:
  RowReader(FlowPtr<Element> input, std::string_view where)
      : input_(std::move(input)), where_(where) {}

  /// Rows of current() that were not read; 0 at the end of the input.
  int64_t available() {
    while (row_ == rows_ && !ended_) {
      ended_ = input_->next({&current_, 1}) == 0;
      row_ = 0;
      rows_ = ended_ ? 0 : count_rows();
    }
    return rows_ - row_;
  }
  /// Reads `count` <= available() rows into rows `at`… of `out`, a batch of `size` rows.
  void read(Element& out, int64_t at, int64_t count, int64_t size) {
    if (at == 0) begin_batch(out, current_, Source::kRows, size);
    append_rows(out, at, current_, Source::kRows, row_, count, where_);
    row_ += count;
  }
  /// Passes over up to `count` rows; returns how many there were.
  int64_t skip(int64_t count) {
    int64_t skipped = 0;
    while (skipped < count) {
      const int64_t step = std::min(count - skipped, available());
      if (step == 0) break;
      row_ += step;
      skipped += step;
    }
    return skipped;
  }

 private:
  int64_t count_rows() const {
    for (const Tensor& tensor : current_)
      if (tensor.rank() == 0 || tensor.size(0) != current_[0].size(0))
        throw InvalidArgument(
            "{}: got a component of shape {} beside one of {}; want batches with "
            "one number of rows",
            where_, tensor.shape(), current_[0].shape());
    return current_[0].size(0);
  }

  FlowPtr<Element> input_;
  std::string_view where_;
  Element current_;
  int64_t row_ = 0;
  int64_t rows_ = 0;
  bool ended_ = false;
};

class RebatchFlow : public ElementFlow {
 public:
  RebatchFlow(FlowPtr<Element> input, ElementSpec row_spec, const Sizes& sizes)
      : reader_(std::move(input), "rebatch"), row_spec_(std::move(row_spec)), turns_(sizes) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled)
      if (!next_batch(out[filled])) return static_cast<int64_t>(filled);
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    return turns_.skip(count, [&](int64_t rows) { return reader_.skip(rows); });
  }

 private:
  bool next_batch(Element& out) {
    const std::optional<int64_t> size = turns_.next_size();
    if (!size) return false;
    int64_t got = 0;
    while (got < *size) {
      const int64_t count = std::min(*size - got, reader_.available());
      if (count == 0) break;
      reader_.read(out, got, count, *size);
      got += count;
    }
    if (!turns_.accepts(got, *size)) return false;
    if (*size == 0) make_empty_batch(out, row_spec_);
    if (got < *size) shorten_batch(out, got);
    return true;
  }

  RowReader reader_;
  ElementSpec row_spec_;
  Turns turns_;
};

/// Every batch of B rows in n parts of ceil(B / n).
class LegacyRebatchFlow : public ElementFlow {
 public:
  LegacyRebatchFlow(FlowPtr<Element> input, ElementSpec row_spec, int64_t num_replicas)
      : reader_(std::move(input), "legacy_rebatch"),
        row_spec_(std::move(row_spec)),
        num_replicas_(num_replicas),
        part_(num_replicas) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (part_ == num_replicas_) {
        left_ = reader_.available();
        if (left_ == 0) return static_cast<int64_t>(filled);
        part_rows_ = (left_ + num_replicas_ - 1) / num_replicas_;
        part_ = 0;
      }
      const int64_t count = std::min(part_rows_, left_);
      if (count > 0)
        reader_.read(out[filled], 0, count, count);
      else
        make_empty_batch(out[filled], row_spec_);
      left_ -= count;
      ++part_;
    }
    return std::ssize(out);
  }

 private:
  RowReader reader_;
  ElementSpec row_spec_;
  int64_t num_replicas_;
  int64_t part_;           ///< parts of the current batch handed out
  int64_t part_rows_ = 0;  ///< rows of a full part
  int64_t left_ = 0;       ///< rows of the current batch not handed out
};

/// The same over batches of source rows: a part that is skipped is not gathered.
class LegacyGatherFlow : public ElementFlow {
 public:
  LegacyGatherFlow(RowsPtr rows, FlowPtr<int64_t> numbers, const Sizes& sizes, int64_t num_replicas)
      : rows_(std::move(rows)),
        input_(std::move(numbers)),
        turns_(sizes),
        num_replicas_(num_replicas),
        part_(num_replicas) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      const auto part = next_part();
      if (!part) return static_cast<int64_t>(filled);
      gather_batch(*rows_, *part, out[filled]);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    while (skipped < count && next_part()) ++skipped;
    return skipped;
  }

 private:
  std::optional<std::span<const int64_t>> next_part() {
    if (part_ == num_replicas_ && !next_batch()) return std::nullopt;
    const auto size = static_cast<int64_t>(numbers_.size());
    const int64_t part_rows = (size + num_replicas_ - 1) / num_replicas_;
    const int64_t begin = std::min(part_ * part_rows, size);
    const int64_t end = std::min(begin + part_rows, size);
    ++part_;
    return std::span<const int64_t>(numbers_).subspan(static_cast<size_t>(begin),
                                                      static_cast<size_t>(end - begin));
  }
  /// Reads the row numbers of the next batch that has any.
  bool next_batch() {
    int64_t got = 0;
    do {
      const std::optional<int64_t> size = turns_.next_size();
      if (!size) return false;
      numbers_.resize(static_cast<size_t>(*size));
      got = input_->next(numbers_);
      if (!turns_.accepts(got, *size)) return false;
      numbers_.resize(static_cast<size_t>(got));
    } while (got == 0);
    part_ = 0;
    return true;
  }

  RowsPtr rows_;
  FlowPtr<int64_t> input_;
  Turns turns_;
  int64_t num_replicas_;
  int64_t part_;  ///< parts of the current batch handed out
  std::vector<int64_t> numbers_;
};

class UnbatchFlow : public ElementFlow {
 public:
  explicit UnbatchFlow(FlowPtr<Element> input) : reader_(std::move(input), "unbatch") {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (reader_.available() == 0) return static_cast<int64_t>(filled);
      reader_.read(row_, 0, 1, 1);
      Element& element = out[filled];
      element.resize(row_.size());
      for (size_t c = 0; c < row_.size(); ++c) {
        std::swap(element[c], row_[c]);
        element[c].reuse_as(element[c].dtype(), element[c].shape().slice(1));
      }
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override { return reader_.skip(count); }

 private:
  RowReader reader_;
  Element row_;
};

}  // namespace cohort::data
