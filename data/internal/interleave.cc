#include <mutex>
#include <optional>

#include "cohort/core/current_error.h"
#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

/// A cycle of open datasets. An empty place is filled from the input when its turn comes; a place
/// whose dataset ends gives its turn to the next one.
class InterleaveFlow : public ElementFlow {
 public:
  using Open = std::function<FlowPtr<Element>(const Element&, int64_t number, size_t place)>;

  InterleaveFlow(FlowPtr<Element> input, Open open, const InterleaveOptions& options)
      : input_(std::move(input)),
        open_(std::move(open)),
        places_(static_cast<size_t>(options.cycle_length)),
        block_length_(options.block_length) {}

  int64_t next(std::span<Element> out) override {
    return advance(std::ssize(out), [&](ElementFlow& flow, int64_t done, int64_t count) {
      return flow.next(out.subspan(static_cast<size_t>(done), static_cast<size_t>(count)));
    });
  }
  int64_t skip(int64_t count) override {
    return advance(count, [](ElementFlow& flow, int64_t, int64_t part) { return flow.skip(part); });
  }

 private:
  /// Moves past `count` elements, block by block; `move(flow, done, part)` does it for a part of
  /// one block and returns how many there were.
  template <class Move>
  int64_t advance(int64_t count, Move move) {
    int64_t done = 0;
    while (done < count && fill_place()) {
      const int64_t part = std::min(count - done, block_length_ - in_block_);
      const int64_t moved = move(*places_[place_], done, part);
      done += moved;
      in_block_ += moved;
      if (moved < part) {
        places_[place_].reset();
        --num_open_;
      }
      if (moved < part || in_block_ == block_length_) next_place();
    }
    return done;
  }
  /// Finds the place whose turn it is; false at the end.
  bool fill_place() {
    while (!places_[place_]) {
      if (!input_ended_ && input_->next({&item_, 1}) == 1) {
        places_[place_] = open_(item_, number_++, place_);
        ++num_open_;
        break;
      }
      input_ended_ = true;
      if (num_open_ == 0) return false;
      next_place();
    }
    return true;
  }
  void next_place() {
    place_ = place_ + 1 == places_.size() ? 0 : place_ + 1;
    in_block_ = 0;
  }

  FlowPtr<Element> input_;
  Open open_;
  std::vector<FlowPtr<Element>> places_;
  int64_t block_length_;
  size_t place_ = 0;
  int64_t in_block_ = 0;  ///< elements that this place gave in its turn
  int num_open_ = 0;
  bool input_ended_ = false;
  Element item_;
  int64_t number_ = 0;  ///< of the next input element
};

NodePtr call(const DatasetFunction& function, const Element& element, int64_t number) {
  try {
    return function(element).node();
  } catch (...) {
    throw current_error().within(fmt::format("interleave: element {}", number));
  }
}

class InterleaveNode : public Node, public std::enable_shared_from_this<InterleaveNode> {
 public:
  InterleaveNode(NodePtr input, DatasetFunction function, const InterleaveOptions& options)
      : input_(std::move(input)), function_(std::move(function)), options_(options) {}

  /// Dataset number i is passed over with epoch and seed as the whole; datasets that are shuffled
  /// inside the function differ by their own seeds.
  FlowPtr<Element> elements(const Pass& pass) const override {
    auto open = [function = function_, pass, threads = options_.num_parallel_calls](
                    const Element& element, int64_t number, size_t place) {
      FlowPtr<Element> flow = call(function, element, number)->elements(pass);
      if (threads == 1 || place >= static_cast<size_t>(threads)) return flow;
      flow = prefetch_flow(std::move(flow), kAutotune, 1);
      flow->start();
      return flow;
    };
    return std::make_unique<InterleaveFlow>(input_->elements(pass), std::move(open), options_);
  }
  int64_t cardinality() const override {
    return input_->cardinality() == 0 ? 0 : kUnknownCardinality;
  }
  /// The first dataset's.
  ElementSpec spec() const override {
    if (original_) return original_->spec();
    const std::lock_guard lock(mutex_);
    if (found_spec_) return *found_spec_;
    Element first;
    if (input_->elements({})->next({&first, 1}) == 0)
      throw FailedPrecondition(
          "element_spec: got an interleave over a dataset without elements; want one at least");
    found_spec_ = call(function_, first, 0)->spec();
    return *found_spec_;
  }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override {
    return fmt::format("{}.interleave({}, {})", input_->describe(), options_.cycle_length,
                       options_.block_length);
  }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    auto copy = std::make_shared<InterleaveNode>(std::move(inputs[0]), function_, options_);
    copy->original_ = shared_from_this();
    return copy;
  }

 private:
  NodePtr input_;
  DatasetFunction function_;
  InterleaveOptions options_;
  NodePtr original_;  ///< gives the spec to a copy over a part of the input, which may be empty
  mutable std::mutex mutex_;
  mutable std::optional<ElementSpec> found_spec_;
};

}  // namespace

NodePtr interleave_node(NodePtr input, DatasetFunction function, const InterleaveOptions& options) {
  if (!function) throw InvalidArgument("interleave: got an empty function; want one");
  if (options.cycle_length < 1 || options.block_length < 1 || options.num_parallel_calls < 1)
    throw InvalidArgument(
        "interleave: got cycle length {}, block length {}, {} parallel calls; want 1 or more each",
        options.cycle_length, options.block_length, options.num_parallel_calls);
  return std::make_shared<InterleaveNode>(std::move(input), std::move(function), options);
}

}  // namespace cohort::data
