#include "cohort/data/iterator.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "cohort/core/current_error.h"
#include "cohort/core/terminal.h"
#include "cohort/data/internal/iterator_state.h"
#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

constexpr std::string_view kPositionMagic = "CDP1";
constexpr size_t kPositionBytes = 8 + 4 * 8;
constexpr uint32_t kVersion = 1;
/// A pass over elements that takes longer is said, after chunks that take about so long.
constexpr std::chrono::milliseconds kUnsaid(1000), kLongChunk(100);

void append_number(std::string& bytes, uint64_t value, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i) bytes += static_cast<char>(value >> (8 * i));
}

uint64_t read_number(std::string_view bytes, size_t at, int num_bytes) {
  uint64_t value = 0;
  for (int i = 0; i < num_bytes; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + static_cast<size_t>(i)]))
             << (8 * i);
  return value;
}

/// Epoch after epoch of a node; the end of each is reported once.
class EpochFlow : public ElementFlow {
 public:
  EpochFlow(NodePtr node, const Pass& pass, int64_t epochs)
      : node_(std::move(node)), pass_(pass), epochs_left_(epochs), flow_(node_->elements(pass_)) {}

  int64_t next(std::span<Element> out) override {
    if (!flow_) return 0;
    const int64_t got = flow_->next(out);
    if (got < std::ssize(out)) {
      flow_.reset();
      ++pass_.epoch;
      if (--epochs_left_ > 0) flow_ = node_->elements(pass_);
    }
    return got;
  }
  int64_t skip(int64_t count) override { return flow_ ? flow_->skip(count) : 0; }
  void start() override {
    if (flow_) flow_->start();
  }

 private:
  NodePtr node_;
  Pass pass_;
  int64_t epochs_left_;
  FlowPtr<Element> flow_;
};

FlowPtr<Element> open(const NodePtr& node, const Pass& pass, int64_t epochs) {
  if (const auto prefetch = prefetch_parts(*node))
    return prefetch_flow(std::make_unique<EpochFlow>(prefetch->input, pass, epochs),
                         prefetch->buffer_size, epochs);
  return std::make_unique<EpochFlow>(node, pass, epochs);
}

}  // namespace

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

uint64_t fingerprint_of(const Node& node) { return hash_of(node.describe()); }

std::string Position::to_bytes() const {
  std::string bytes(kPositionMagic);
  append_number(bytes, kVersion, 4);
  for (const uint64_t value :
       {seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(element), fingerprint})
    append_number(bytes, value, 8);
  return bytes;
}

Position Position::from_bytes(std::string_view bytes) {
  if (bytes.size() != kPositionBytes || !bytes.starts_with(kPositionMagic) ||
      read_number(bytes, 4, 4) != kVersion)
    throw DataLoss(
        "Position::from_bytes: got {} bytes that are no position; want {} that start "
        "with \"{}\" and version {}",
        bytes.size(), kPositionBytes, kPositionMagic, kVersion);
  return {.seed = read_number(bytes, 8, 8),
          .epoch = static_cast<int64_t>(read_number(bytes, 16, 8)),
          .element = static_cast<int64_t>(read_number(bytes, 24, 8)),
          .fingerprint = read_number(bytes, 32, 8)};
}

Iterator::State::State(NodePtr node, const Position& position, int64_t epochs)
    : node_(std::move(node)),
      position_(position),
      epochs_left_(epochs),
      says_rows_(node_->says_rows()),
      flow_(open(node_, {position.seed, position.epoch}, epochs)) {
  pass_over(position.element);
  flow_->start();
}

/// By index where the steps can; where they cannot, what takes long is said, once.
void Iterator::State::pass_over(int64_t elements) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  bool is_said = false;
  for (int64_t done = 0, chunk = 1; done < elements;) {
    const Clock::time_point before = Clock::now();
    const int64_t wanted = std::min(chunk, elements - done);
    const int64_t skipped = flow_->skip(wanted);
    done += skipped;
    if (skipped < wanted)
      throw InvalidArgument(
          "resume: got a position behind {} elements of a dataset that has {}; want "
          "the dataset that the position was taken from",
          elements, done);
    if (Clock::now() - before < kLongChunk) chunk *= 2;
    if (is_said || done == elements || Clock::now() - begin < kUnsaid) continue;
    is_said = true;
    say(stderr, fmt::format("resume: passes over {} elements again, of which {} are done: {}\n",
                            elements, done, node_->describe()));
  }
}

bool Iterator::State::next(Element& out) {
  if (error_) throw Error(*error_);
  if (epochs_left_ == 0) return false;
  try {
    if (range_.defined()) out.push_back(std::move(range_));
    if (flow_->next({&out, 1}) == 1) {
      ++position_.element;
      note_rows(out);
      return true;
    }
  } catch (...) {
    error_ = current_error();
    throw Error(*error_);
  }
  --epochs_left_;
  ++position_.epoch;
  position_.element = 0;
  return false;
}

void Iterator::State::note_rows(Element& out) {
  if (!says_rows_) {
    row_range_.global_rows = out.front().rank() > 0 ? out.front().size(0) : 0;
    return;
  }
  range_ = std::move(out.back());
  out.pop_back();
  const int64_t* range = range_.data<int64_t>();
  row_range_ = {.offset = range[0], .global_rows = range[1]};
}

Iterator::Iterator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Iterator::Iterator(Iterator&&) noexcept = default;
Iterator& Iterator::operator=(Iterator&&) noexcept = default;
Iterator::~Iterator() = default;

const Element* Iterator::next() {
  return state_->next(state_->current) ? &state_->current : nullptr;
}
bool Iterator::next(Element& out) { return state_->next(out); }
const RowRange& Iterator::row_range() const { return state_->row_range(); }
Position Iterator::position() const { return state_->position(); }

}  // namespace cohort::data
