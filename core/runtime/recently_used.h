#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <list>
#include <string>
#include <utility>

#include "cohort/core/terminal.h"

namespace cohort {

/// How much a RecentlyUsed keeps.
struct CacheLimits {
  /// Of all that is kept together; the latest used are kept whatever they need.
  size_t bytes = size_t{1} << 30;
  size_t least = 16;
};

/// Keeps what takes time to make, and lets go of the least recently used when it all needs too
/// much memory. Says once, on standard error, when most of what is asked for was let go or is new.
/// `Entry::num_bytes()` tells what one needs. Not synchronised.
template <class Entry>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(CacheLimits limits = {}) : limits_(limits) {}

  /// The entry for which `matches`, now the latest used. Null when there is none.
  template <class Matches>
  Entry* find(Matches&& matches) {
    const auto it = std::find_if(entries_.begin(), entries_.end(), matches);
    count(it == entries_.end());
    if (it == entries_.end()) return nullptr;
    if (it != entries_.begin()) entries_.splice(entries_.begin(), entries_, it);
    return &entries_.front();
  }

  /// Adds the latest used. `what` all entries are, for people: "functions run by a strategy".
  Entry& add(Entry entry, const std::string& what) {
    let_go(entry.num_bytes());
    entries_.push_front(std::move(entry));
    if (thrashes_ && !std::exchange(said_, true))
      say(stderr,
          fmt::format(
              "cohort: {}: at least {} of the latest {} were made anew: more shapes come in turn "
              "than fit into {} MiB ({} do); want data padded to fewer\n",
              what, kWindow / 2, kWindow, limits_.bytes >> 20, entries_.size()));
    return entries_.front();
  }

  template <class Pred>
  void erase_if(Pred&& pred) {
    entries_.remove_if(pred);
  }
  size_t size() const { return entries_.size(); }
  auto begin() { return entries_.begin(); }
  auto end() { return entries_.end(); }

 private:
  static constexpr int kWindow = 64;

  void let_go(size_t wanted) {
    if (entries_.size() < limits_.least) return;
    size_t bytes = wanted;
    for (const Entry& entry : entries_) bytes += entry.num_bytes();
    while (bytes > limits_.bytes && entries_.size() >= limits_.least) {
      bytes -= std::min(bytes, entries_.back().num_bytes());
      entries_.pop_back();
      ++num_let_go_;
    }
  }

  /// Half of a window of look-ups missed, and entries had to go in it.
  void count(bool missed) {
    misses_ += missed;
    if (++look_ups_ < kWindow) return;
    thrashes_ = misses_ >= kWindow / 2 && num_let_go_ > let_go_before_;
    let_go_before_ = num_let_go_;
    look_ups_ = misses_ = 0;
  }

  const CacheLimits limits_;
  std::list<Entry> entries_;  ///< latest used first
  size_t num_let_go_ = 0, let_go_before_ = 0;
  int look_ups_ = 0, misses_ = 0;
  bool thrashes_ = false, said_ = false;
};

}  // namespace cohort
