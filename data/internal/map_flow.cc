#include "cohort/data/internal/map_flow.h"

#include "cohort/core/current_error.h"

namespace cohort::data {

Element call_map(const MapFunction& function, const Element& element, int64_t index) {
  const auto where = [&] { return fmt::format("map: element {}", index); };
  Element result;
  try {
    result = function(element);
  } catch (...) {
    throw current_error().within(where());
  }
  if (result.empty())
    throw InvalidArgument("{}: got no components from the function; want at least one", where());
  for (const Tensor& tensor : result)
    if (!tensor.defined())
      throw InvalidArgument("{}: got an empty tensor handle from the function; want a tensor",
                            where());
  return result;
}

int64_t MapFlow::next(std::span<Element> out) {
  for (size_t filled = 0; filled < out.size(); ++filled) {
    if (!pattern_.has(index_)) {
      if (input_->skip(1) == 0) return static_cast<int64_t>(filled);
      out[filled].clear();
      ++index_;
      continue;
    }
    if (input_->next({&item_, 1}) == 0) return static_cast<int64_t>(filled);
    out[filled] = call_map(function_, item_, index_++);
  }
  return std::ssize(out);
}

int64_t MapFlow::skip(int64_t count) {
  const int64_t skipped = input_->skip(count);
  index_ += skipped;
  return skipped;
}

ParallelMapFlow::ParallelMapFlow(FlowPtr<Element> input, MapFunction function, int num_threads,
                                 const ItemPattern& pattern)
    : function_(std::move(function)),
      num_threads_(num_threads),
      pattern_(pattern),
      input_(std::move(input)),
      slots_(2 * static_cast<size_t>(num_threads)) {}

ParallelMapFlow::~ParallelMapFlow() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  slot_free_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ParallelMapFlow::start() {
  if (!threads_.empty()) return;
  for (int i = 0; i < num_threads_; ++i) threads_.emplace_back([this] { work(); });
}

int64_t ParallelMapFlow::skip(int64_t count) {
  if (!threads_.empty()) return ElementFlow::skip(count);
  const int64_t skipped = input_->skip(count);
  first_ += skipped;
  return skipped;
}

int64_t ParallelMapFlow::next(std::span<Element> out) {
  start();
  std::unique_lock lock(mutex_);
  for (size_t filled = 0; filled < out.size(); ++filled) {
    Slot& wanted = slot(num_returned_);
    result_ready_.wait(
        lock, [&] { return wanted.done || (input_ended_ && num_returned_ == num_taken_); });
    if (!wanted.done) return static_cast<int64_t>(filled);
    if (wanted.error) throw Error(*wanted.error);
    std::swap(out[filled], wanted.result);
    wanted.done = false;
    ++num_returned_;
    slot_free_.notify_one();
  }
  return std::ssize(out);
}

void ParallelMapFlow::work() {
  Element item;
  while (const std::optional<int64_t> number = take_input(item)) {
    try {
      const int64_t index = first_ + *number;
      finish(*number, pattern_.has(index) ? call_map(function_, item, index) : Element(),
             std::nullopt);
    } catch (...) {
      finish(*number, {}, current_error());
    }
  }
}

std::optional<int64_t> ParallelMapFlow::take_input(Element& item) {
  const std::lock_guard input_lock(input_mutex_);
  if (!wait_for_slot()) return std::nullopt;
  bool got = false;
  std::optional<Error> error;
  try {
    got = (pattern_.has(first_ + num_taken_) ? input_->next({&item, 1}) : input_->skip(1)) == 1;
  } catch (...) {
    error = current_error();
  }
  const std::lock_guard lock(mutex_);
  input_ended_ = !got;
  if (error) {
    Slot& failed = slot(num_taken_++);
    failed.error = std::move(error);
    failed.done = true;
  }
  if (!got) {
    slot_free_.notify_all();
    result_ready_.notify_all();
    return std::nullopt;
  }
  return num_taken_++;
}

bool ParallelMapFlow::wait_for_slot() {
  std::unique_lock lock(mutex_);
  slot_free_.wait(lock, [&] {
    return stopping_ || input_ended_ || num_taken_ - num_returned_ < std::ssize(slots_);
  });
  return !stopping_ && !input_ended_;
}

void ParallelMapFlow::finish(int64_t number, Element result, std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  Slot& finished = slot(number);
  finished.result = std::move(result);
  finished.error = std::move(error);
  finished.done = true;
  result_ready_.notify_one();
}

}  // namespace cohort::data
