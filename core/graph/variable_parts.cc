#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/departure.h"
#include "cohort/core/graph/variable.h"

/// Variables by ranges of elements: those that are sharded, and those that are parts of others. And
/// copies of whole ones that are made while steps go on.
namespace cohort {
namespace {

/// Where element `at` lies in an array that begins with element `first`.
const char* at_element(const void* data, int64_t first, int64_t at, DType dtype) {
  return static_cast<const char*>(data) + (at - first) * static_cast<int64_t>(size_of(dtype));
}
char* at_element(void* data, int64_t first, int64_t at, DType dtype) {
  return static_cast<char*>(data) + (at - first) * static_cast<int64_t>(size_of(dtype));
}

size_t bytes_of(Elements range, DType dtype) {
  return static_cast<size_t>(range.size()) * size_of(dtype);
}

Tensor joined(DType dtype, int64_t count, const std::vector<Tensor>& pieces) {
  Tensor all(dtype, Shape{count});
  char* to = static_cast<char*>(all.raw());
  for (const Tensor& piece : pieces) {
    if (piece.num_bytes() > 0) std::memcpy(to, piece.raw(), piece.num_bytes());
    to += piece.num_bytes();
  }
  return all;
}

void check_range(const VariableState& variable, Elements range) {
  const int64_t count = variable.shape().num_elements();
  if (range.begin < 0 || range.begin > range.end || range.end > count)
    throw OutOfRange("variable {}: got elements [{}, {}); want some of its {}", variable.name(),
                     range.begin, range.end, count);
}

/// Of a CPU, and written by steps of this process alone.
VariablePlace* place_to_copy(const VariableState& variable) {
  const auto& places = variable.places();
  const auto current =
      std::find_if(places.begin(), places.end(), [](const auto& place) { return place->current; });
  if (current == places.end() || (*current)->device->type() != DeviceType::kCPU) return nullptr;
  let_depart(**current);
  return (*current)->arrival ? nullptr : current->get();
}

/// Whoever writes it pays for its pages.
Tensor unwritten(DType dtype, const Shape& shape, size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t unit = bytes < kHugePage ? 64 : kHugePage;
  const size_t padded = (std::max<size_t>(1, bytes) + unit - 1) / unit * unit;
  void* data = std::aligned_alloc(unit, padded);
  if (!data) throw ResourceExhausted("tensor: out of memory asking for {} bytes", bytes);
  if (unit == kHugePage) madvise(data, padded, MADV_HUGEPAGE);
  return {dtype, shape, std::make_shared<Storage>(data, bytes, [](void* p) { std::free(p); })};
}

}  // namespace

void Departure::finish() {
  State seen = State::kWaiting;
  if (state_.compare_exchange_strong(seen, State::kCopying)) {
    copy_();
    copy_ = nullptr;
    state_.store(State::kDone, std::memory_order_release);
    state_.notify_all();
    return;
  }
  while (seen != State::kDone) {
    state_.wait(seen);
    seen = state_.load(std::memory_order_acquire);
  }
}

DepartingValue depart(VariableState& variable) {
  const bool is_whole = !variable.is_sharded() && !variable.part().whole &&
                        variable.options().synchronization != VariableSynchronization::kOnRead;
  const std::vector<Device*> devices = variable.holders();
  if (!is_whole || devices.empty()) return {variable.value()};
  const DeviceTurn turn(devices);
  VariablePlace* place = variable.holders() == devices ? place_to_copy(variable) : nullptr;
  if (!place) return {variable.value()};
  DepartingValue value{unwritten(variable.dtype(), variable.shape(), variable.num_bytes())};
  value.departure = std::make_shared<Departure>(
      [to = value.value, from = place->data, memory = place->memory,
       bytes = variable.num_bytes()]() mutable { std::memcpy(to.raw(), from, bytes); });
  place->arrival = value.departure;
  return value;
}

bool let_depart(VariablePlace& place) {
  if (!place.arrival) return false;
  auto* const departure = dynamic_cast<Departure*>(place.arrival.get());
  if (!departure) return false;
  departure->finish();
  place.arrival = nullptr;
  return true;
}

VariableState::Part VariableState::part() const {
  const std::lock_guard lock(mutex_);
  return part_;
}

Tensor VariableState::elements(Elements range) const {
  check_range(*this, range);
  if (const Part in = part(); in.whole)
    return in.whole->elements({in.offset + range.begin, in.offset + range.end});
  std::vector<Tensor> pieces;
  std::shared_ptr<ReplicaCopies> job;
  exclusively([&] {
    const auto copy = [&](const VariablePlace* place, Elements here) {
      const Elements common = intersect(here, range);
      Tensor& piece = pieces.emplace_back(dtype_, Shape{common.size()});
      if (common.size() == 0) return;
      if (place) place->settle();
      const char* from =
          at_element(place ? place->data : host_.raw(), here.begin, common.begin, dtype_);
      if (place)
        place->device->copy_to_host(piece.raw(), from, piece.num_bytes());
      else
        std::memcpy(piece.raw(), from, piece.num_bytes());
    };
    if (places_.empty()) {
      initialise();
      copy(nullptr, {0, shape_.num_elements()});
    } else if (!is_sharded()) {
      copy(first_current(), {0, shape_.num_elements()});
    } else {
      job = copies_.lock();
      for (const auto& place : places_) copy(place.get(), place->elements);
    }
  });
  if (job) pieces = job->gather(name(), pieces);
  int64_t count = 0;
  for (const Tensor& piece : pieces) count += piece.num_elements();
  if (count != range.size())
    throw FailedPrecondition(
        "variable {}: got {} of {} elements, which is {}; want the processes of the strategy that "
        "has laid it out so, and they are gone",
        name(), count, range.size(), options_.placement.to_string());
  return joined(dtype_, count, pieces);
}

void VariableState::assign_elements(Elements range, const Tensor& values) {
  check_range(*this, range);
  if (values.dtype() != dtype_ || values.num_elements() != range.size())
    throw InvalidArgument("variable {}: got {} {} for elements [{}, {}); want {} {}", name(),
                          values.num_elements(), values.dtype(), range.begin, range.end,
                          range.size(), dtype_);
  if (const Part in = part(); in.whole)
    return in.whole->assign_elements({in.offset + range.begin, in.offset + range.end}, values);
  const Tensor source = values.contiguous();
  exclusively([&] {
    if (places_.empty()) {
      initialise();
      if (!is_sharded()) host_ = host_.clone();  // another handle may have it
      if (range.size() > 0)
        std::memcpy(at_element(host_.raw(), 0, range.begin, dtype_), source.raw(),
                    bytes_of(range, dtype_));
      return;
    }
    for (const auto& place : places_) {
      const Elements common = intersect(place->elements, range);
      if (!place->current || common.size() == 0) continue;
      leave_to_others(*place);
      place->device->copy_from_host(
          at_element(place->data, place->elements.begin, common.begin, dtype_),
          at_element(source.raw(), range.begin, common.begin, dtype_), bytes_of(common, dtype_));
      ++place->version;
    }
    forget_users();
  });
}

void VariableState::become_part_of(std::shared_ptr<VariableState> whole, int64_t offset) {
  COHORT_CHECK(whole.get() != this && whole->dtype() == dtype_ && !is_of_each_replica());
  whole->assign_elements({offset, offset + shape_.num_elements()}, value());
  exclusively([&] {
    part_ = {std::move(whole), offset};
    host_ = Tensor();
    initial_ = nullptr;
    // Steps that have used it hold its places, and find here that they may not.
    for (const auto& place : places_) {
      place->current = false;
      place->data = nullptr;
      place->memory = nullptr;
      place->device->turn().note_user(nullptr);
    }
  });
}

/// Each of `devices` has the part of its rank, and steps on others do not.
void VariableState::prepare_parts(std::span<Device* const> devices) {
  const auto job = copies_.lock();
  const int64_t first = job ? job->first_copy() : 0;
  const auto all = job ? job->num_copies() : static_cast<int64_t>(devices.size());
  if (all != options_.placement.mesh().num_ranks())
    throw FailedPrecondition(
        "variable {}: got a step on {} devices; want as many as its mesh has "
        "ranks, for it is {}",
        name(), all, options_.placement.to_string());
  const bool is_new = places_.empty();
  if (is_new) initialise();
  for (size_t i = 0; i < devices.size(); ++i) {
    const Elements part =
        options_.placement.elements_of(first + static_cast<int64_t>(i), shape_.num_elements());
    if (is_new) {
      auto place = std::make_unique<VariablePlace>();
      place->device = devices[i];
      place->elements = part;
      place->memory = devices[i]->allocate(bytes_of(part, dtype_));
      place->data = place->memory.get();
      devices[i]->copy_from_host(place->data, at_element(host_.raw(), 0, part.begin, dtype_),
                                 bytes_of(part, dtype_));
      places_.push_back(std::move(place));
      continue;
    }
    const VariablePlace* known = find(*devices[i]);
    if (!known || known->elements != part)
      throw FailedPrecondition(
          "variable {}: got a step that has elements [{}, {}) of it on {}; "
          "want the devices, and their order, that it was laid out on",
          name(), part.begin, part.end, devices[i]->name().to_string());
  }
  host_ = Tensor();
}

}  // namespace cohort
