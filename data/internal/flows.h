#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "cohort/data/internal/node.h"
#include "cohort/data/internal/random.h"

/// The passes that choose and order items and do not look inside them.
namespace cohort::data {

template <class Item>
class TakeFlow : public Flow<Item> {
 public:
  TakeFlow(FlowPtr<Item> input, int64_t count) : input_(std::move(input)), left_(count) {}

  int64_t next(std::span<Item> out) override {
    const int64_t wanted = std::min(left_, std::ssize(out));
    const int64_t taken = wanted > 0 ? input_->next(out.first(static_cast<size_t>(wanted))) : 0;
    left_ = taken < wanted ? 0 : left_ - taken;
    return taken;
  }
  int64_t skip(int64_t count) override {
    const int64_t skipped = input_->skip(std::min(left_, count));
    left_ -= skipped;
    return skipped;
  }

 private:
  FlowPtr<Item> input_;
  int64_t left_;
};

template <class Item>
class SkipFlow : public Flow<Item> {
 public:
  SkipFlow(FlowPtr<Item> input, int64_t count) : input_(std::move(input)), to_skip_(count) {}

  int64_t next(std::span<Item> out) override {
    skip_head();
    return input_->next(out);
  }
  int64_t skip(int64_t count) override {
    skip_head();
    return input_->skip(count);
  }

 private:
  void skip_head() {
    if (to_skip_ > 0) input_->skip(std::exchange(to_skip_, 0));
  }
  FlowPtr<Item> input_;
  int64_t to_skip_;
};

/// Items index, index + num_shards, …
template <class Item>
class ShardFlow : public Flow<Item> {
 public:
  /// `none_empty`: every shard throws where there are items, but fewer than shards.
  ShardFlow(FlowPtr<Item> input, int64_t num_shards, int64_t index, bool none_empty)
      : input_(std::move(input)),
        num_shards_(num_shards),
        index_(index),
        gap_(index),
        to_check_(none_empty) {}

  int64_t next(std::span<Item> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      const int64_t skipped = input_->skip(gap_);
      const bool got = skipped == gap_ && input_->next(out.subspan(filled, 1)) == 1;
      const bool first_round = std::exchange(to_check_, false);
      if (first_round) check(skipped + (got ? 1 : 0), got);
      if (!got) return static_cast<int64_t>(filled);
      gap_ = first_round ? index_ : num_shards_ - 1;
    }
    return std::ssize(out);
  }

 private:
  /// Looks whether the first round is whole; the input then stands behind it.
  void check(int64_t items, bool got) {
    if (got) items += input_->skip(num_shards_ - 1 - index_);
    if (items > 0 && items < num_shards_)
      throw InvalidArgument("shard: got {} elements for {} shards; want at least one for each",
                            items, num_shards_);
  }

  FlowPtr<Item> input_;
  int64_t num_shards_;
  int64_t index_;
  int64_t gap_;  ///< input items before the next one of ours
  bool to_check_;
};

/// `open(round)` once after the other. A round without items ends an endless repetition.
template <class Item>
class RepeatFlow : public Flow<Item> {
 public:
  using Open = std::function<FlowPtr<Item>(int64_t round)>;
  /// `rounds` -1 is forever; `round_size` is the number of items of a round, or negative.
  RepeatFlow(Open open, int64_t rounds, int64_t round_size)
      : open_(std::move(open)), rounds_(rounds), round_size_(round_size) {}

  int64_t next(std::span<Item> out) override {
    int64_t done = 0;
    while (done < std::ssize(out) && open_round()) {
      const auto rest = out.subspan(static_cast<size_t>(done));
      done += record(flow_->next(rest), std::ssize(rest));
    }
    return done;
  }
  int64_t skip(int64_t count) override {
    int64_t done = 0;
    while (done < count) {
      if (!flow_) done += skip_rounds(count - done);
      if (done == count || !open_round()) break;
      done += record(flow_->skip(count - done), count - done);
    }
    return done;
  }

 private:
  bool open_round() {
    if (flow_) return true;
    if (ended_ || round_ == rounds_) return false;
    flow_ = open_(round_);
    in_round_ = 0;
    return true;
  }
  /// Passes over as many whole rounds as `count` items contain; returns their items.
  int64_t skip_rounds(int64_t count) {
    if (round_size_ <= 0) return 0;
    int64_t whole = count / round_size_;
    if (rounds_ >= 0) whole = std::min(whole, rounds_ - round_);
    round_ += whole;
    return whole * round_size_;
  }
  /// Notes that the round gave `moved` of `wanted` items, and closes it when it fell short.
  int64_t record(int64_t moved, int64_t wanted) {
    in_round_ += moved;
    if (moved < wanted) {
      flow_.reset();
      ++round_;
      ended_ = in_round_ == 0 && rounds_ < 0;
    }
    return moved;
  }

  Open open_;
  int64_t rounds_;
  int64_t round_size_;
  FlowPtr<Item> flow_;
  int64_t round_ = 0;
  int64_t in_round_ = 0;
  bool ended_ = false;
};

/// tf.data's shuffle: a buffer of the next `buffer_size` items; each draw takes one of them at
/// random and puts the next input item in its place. With a buffer of all items: a Fisher-Yates
/// shuffle.
template <class Item>
class ShuffleFlow : public Flow<Item> {
 public:
  /// `input_size`: of its items, or negative.
  ShuffleFlow(FlowPtr<Item> input, int64_t buffer_size, int64_t input_size, CounterRandom random)
      : input_(std::move(input)),
        buffer_size_(buffer_size),
        input_size_(input_size),
        random_(random) {}

  int64_t next(std::span<Item> out) override {
    if (!filled_) fill();
    size_t filled = 0;
    for (; filled < out.size() && !buffer_.empty(); ++filled) {
      // A large buffer is not in the cache, and later draws are known: near enough, where it
      // shrinks.
      __builtin_prefetch(&buffer_[random_.below(buffer_.size(), num_drawn_ + kAhead)], 1);
      Item& drawn = buffer_[random_.below(buffer_.size(), num_drawn_++)];
      std::swap(out[filled], drawn);
      if (!exhausted_ && input_->next({&drawn, 1}) == 1) continue;
      exhausted_ = true;
      std::swap(drawn, buffer_.back());
      buffer_.pop_back();
    }
    return static_cast<int64_t>(filled);
  }
  /// The same draws, of which nobody sees the items.
  int64_t skip(int64_t count) override {
    if constexpr (!std::is_same_v<Item, int64_t>) {
      return Flow<Item>::skip(count);
    } else {
      if (!filled_) fill();
      const int64_t replaced = skip_replaced(count);
      return replaced + skip_last(count - replaced);
    }
  }

 private:
  static constexpr uint64_t kAhead = 16;    ///< draws
  static constexpr size_t kTogether = 128;  ///< draws that are passed over

  /// As long as the input has another item for each that is drawn. What is drawn next is known, and
  /// on its way to the cache, here and below.
  int64_t skip_replaced(int64_t count) {
    std::array<Item, kTogether> fresh;
    std::array<Item*, kTogether> drawn;
    int64_t done = 0;
    while (done < count && !exhausted_) {
      const int64_t wanted = std::min(count - done, std::ssize(fresh));
      const int64_t got = input_->next({fresh.data(), static_cast<size_t>(wanted)});
      const auto items = static_cast<size_t>(got);
      for (size_t i = 0; i < items; ++i) drawn[i] = draw(buffer_.size());
      for (size_t i = 0; i < items; ++i) *drawn[i] = fresh[i];
      exhausted_ = got < wanted;
      done += got;
    }
    return done;
  }

  /// When the buffer shrinks with every draw.
  int64_t skip_last(int64_t count) {
    std::array<Item*, kTogether> drawn;
    const size_t wanted = std::min(static_cast<size_t>(count), buffer_.size());
    for (size_t done = 0; done < wanted;) {
      const size_t items = std::min(wanted - done, kTogether), size = buffer_.size();
      for (size_t i = 0; i < items; ++i) drawn[i] = draw(size - i);
      for (size_t i = 0; i < items; ++i) *drawn[i] = buffer_[size - 1 - i];
      buffer_.resize(size - items);
      done += items;
    }
    return static_cast<int64_t>(wanted);
  }

  Item* draw(size_t size) {
    Item* const drawn = &buffer_[random_.below(size, num_drawn_++)];
    __builtin_prefetch(drawn, 1);
    return drawn;
  }

  void fill() {
    filled_ = true;
    constexpr int64_t kChunk = 4096;
    if (input_size_ > 0) buffer_.reserve(static_cast<size_t>(std::min(input_size_, buffer_size_)));
    while (!exhausted_ && std::ssize(buffer_) < buffer_size_) {
      const int64_t before = std::ssize(buffer_);
      const int64_t wanted = std::min(kChunk, buffer_size_ - before);
      buffer_.resize(static_cast<size_t>(before + wanted));
      const int64_t got = input_->next({buffer_.data() + before, static_cast<size_t>(wanted)});
      exhausted_ = got < wanted;
      buffer_.resize(static_cast<size_t>(before + got));
    }
  }

  FlowPtr<Item> input_;
  int64_t buffer_size_, input_size_;
  CounterRandom random_;
  std::vector<Item> buffer_;
  uint64_t num_drawn_ = 0;
  bool filled_ = false;
  bool exhausted_ = false;
};

/// `first`, then `second`.
template <class Item>
class ConcatenateFlow : public Flow<Item> {
 public:
  ConcatenateFlow(FlowPtr<Item> first, FlowPtr<Item> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  int64_t next(std::span<Item> out) override {
    int64_t filled = first_ ? first_->next(out) : 0;
    if (filled < std::ssize(out)) {
      first_.reset();
      filled += second_->next(out.subspan(static_cast<size_t>(filled)));
    }
    return filled;
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = first_ ? first_->skip(count) : 0;
    if (skipped < count) {
      first_.reset();
      skipped += second_->skip(count - skipped);
    }
    return skipped;
  }

 private:
  FlowPtr<Item> first_;
  FlowPtr<Item> second_;
};

/// start, start + 1, … before stop.
class CountFlow : public RowFlow {
 public:
  CountFlow(int64_t start, int64_t stop) : next_(start), stop_(stop) {}

  int64_t next(std::span<int64_t> out) override {
    const int64_t count = std::min(stop_ - next_, std::ssize(out));
    for (int64_t i = 0; i < count; ++i) out[static_cast<size_t>(i)] = next_ + i;
    next_ += count;
    return count;
  }
  int64_t skip(int64_t count) override {
    const int64_t skipped = std::min(stop_ - next_, count);
    next_ += skipped;
    return skipped;
  }

 private:
  int64_t next_;
  int64_t stop_;
};

}  // namespace cohort::data
