#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cohort/data/dataset.h"
#include "cohort/data/internal/node.h"

namespace cohort::data {

/// function(element) for element number `index`; what it throws comes back as an Error that says
/// so.
Element call_map(const MapFunction& function, const Element& element, int64_t index);

/// Applies a function to element after element, on the caller's thread.
class MapFlow : public ElementFlow {
 public:
  MapFlow(FlowPtr<Element> input, MapFunction function, const ItemPattern& pattern)
      : input_(std::move(input)), function_(std::move(function)), pattern_(pattern) {}
  int64_t next(std::span<Element> out) override;
  int64_t skip(int64_t count) override;

 private:
  FlowPtr<Element> input_;
  MapFunction function_;
  ItemPattern pattern_;
  Element item_;
  int64_t index_ = 0;
};

/// The same on threads of its own, results in the input's order. A worker takes the next input
/// element and its number under input_mutex_, computes, and leaves the result in the slot
/// number % slots. Elements outside of the pattern
/// are passed over and leave an empty result. The threads start with the first next() and end with
/// the destructor.
class ParallelMapFlow : public ElementFlow {
 public:
  ParallelMapFlow(FlowPtr<Element> input, MapFunction function, int num_threads,
                  const ItemPattern& pattern);
  ~ParallelMapFlow() override;
  int64_t next(std::span<Element> out) override;
  int64_t skip(int64_t count) override;
  void start() override;

 private:
  struct Slot {
    bool done = false;
    Element result;
    std::optional<Error> error;
  };
  void work();
  /// The number of the element now in `item`; nothing at the end.
  std::optional<int64_t> take_input(Element& item);
  bool wait_for_slot();
  void finish(int64_t number, Element result, std::optional<Error> error);
  Slot& slot(int64_t number) { return slots_[static_cast<size_t>(number % std::ssize(slots_))]; }

  const MapFunction function_;
  const int num_threads_;
  const ItemPattern pattern_;

  std::mutex input_mutex_;  // taken before mutex_
  FlowPtr<Element> input_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable result_ready_;
  std::condition_variable slot_free_;
  std::vector<Slot> slots_;
  int64_t num_taken_ = 0;     ///< input elements that workers took
  int64_t num_returned_ = 0;  ///< results handed out
  int64_t first_ = 0;         ///< elements skipped before the start, for messages
  bool input_ended_ = false;
  bool stopping_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace cohort::data
