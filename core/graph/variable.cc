#include "cohort/core/graph/variable.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cohort/core/device/device.h"

namespace cohort {
namespace {

Tensor read_place(const VariablePlace& place, DType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  place.device->copy_to_host(tensor.raw(), place.data, tensor.num_bytes());
  return tensor;
}

void check_aggregation(const VariableOptions& options, DType dtype) {
  if (options.aggregation == VariableAggregation::kMean && !is_floating(dtype))
    throw InvalidArgument("variable {}: got aggregation MEAN for {}; want a floating dtype",
                          options.name, dtype);
}

/// Calls fn with a number of the type in which values of `dtype` are added up.
template <class Fn>
auto in_wide_type(DType dtype, Fn&& fn) {
  return is_integer(dtype) ? fn(int64_t{}) : fn(double{});
}

Tensor sum_of(const std::vector<Tensor>& copies) {
  const DType dtype = copies.front().dtype();
  return in_wide_type(dtype, [&](auto tag) {
    using Wide = decltype(tag);
    Tensor total(dtype_of<Wide>(), copies.front().shape());
    for (const Tensor& copy : copies) {
      const Tensor next = copy.cast(total.dtype());
      for (int64_t k = 0; k < total.num_elements(); ++k)
        total.data<Wide>()[k] += next.data<Wide>()[k];
    }
    return total;
  });
}

/// The part of a sum that copy `copy` of so many holds. What an integer leaves over is of the
/// first.
Tensor share_of(const Tensor& value, size_t copy, size_t copies) {
  return in_wide_type(value.dtype(), [&](auto tag) {
    using Wide = decltype(tag);
    Tensor wide = value.cast(dtype_of<Wide>());
    const auto count = static_cast<Wide>(copies);
    for (int64_t k = 0; k < wide.num_elements(); ++k) {
      Wide& element = wide.data<Wide>()[k];
      Wide over = 0;
      if constexpr (std::is_integral_v<Wide>) {
        const Wide rest = element % count;
        if (static_cast<Wide>(copy) < std::abs(rest)) over = rest > 0 ? 1 : -1;
      }
      element = element / count + over;
    }
    return wide.cast(value.dtype());
  });
}

bool contains(std::span<Device* const> devices, const Device* device) {
  return std::find(devices.begin(), devices.end(), device) != devices.end();
}

}  // namespace

VariableState::VariableState(DType dtype, Shape shape, std::function<Tensor()> initial,
                             VariableOptions options)
    : dtype_(dtype),
      shape_(std::move(shape)),
      options_(std::move(options)),
      initial_(std::move(initial)) {
  if (!shape_.is_concrete())
    throw InvalidArgument("variable {}: got shape {}; want numbers in every dimension", name(),
                          shape_);
  check_aggregation(options_, dtype_);
}

VariableState::VariableState(Tensor initial, VariableOptions options)
    : dtype_(initial.dtype()),
      shape_(initial.shape()),
      options_(std::move(options)),
      host_(initial.clone()) {
  check_aggregation(options_, dtype_);
}

void VariableState::initialise() const {
  if (host_.defined() || !places_.empty()) return;
  Tensor value = initial_();
  check(value);
  host_ = value.contiguous();
  initial_ = nullptr;
}

void VariableState::check(const Tensor& value) const {
  if (value.dtype() != dtype_ || value.shape() != shape_)
    throw InvalidArgument("variable {}: got a value of {} {}; want {} {}", name(), value.dtype(),
                          value.shape(), dtype_, shape_);
}

/// Calls fn with the turns of all devices that hold the variable, and with mutex_.
template <class Fn>
auto VariableState::exclusively(Fn&& fn) const {
  for (;;) {
    const std::vector<Device*> devices = holders();
    const DeviceTurn turn(devices);
    const std::lock_guard lock(mutex_);
    if (holders_locked() == devices) return fn();
  }
}

std::vector<Device*> VariableState::holders() const {
  const std::lock_guard lock(mutex_);
  return holders_locked();
}

std::vector<Device*> VariableState::holders_locked() const {
  std::vector<Device*> devices;
  for (const auto& place : places_) devices.push_back(place->device);
  return in_turn_order(std::move(devices));
}

VariablePlace* VariableState::find(const Device& device) const {
  for (const auto& place : places_)
    if (place->device == &device) return place.get();
  return nullptr;
}

VariablePlace* VariableState::first_current() const {
  for (const auto& place : places_)
    if (place->current) return place.get();
  return nullptr;
}

bool VariableState::is_of_each_replica() const {
  return options_.synchronization == VariableSynchronization::kOnRead;
}

/// Steps that have prepared their variables do so again: somebody else has changed this one.
void VariableState::forget_users() const {
  if (places_.size() < 2) return;
  for (const auto& place : places_) place->device->turn().note_user(nullptr);
}

VariableState::Block VariableState::block() const {
  Block block;
  const auto add = [&](VariablePlace* place) {
    if (place && place->current) block.places.push_back(place);
  };
  if (const auto job = copies_.lock()) {
    for (const Device* device : job->devices()) add(find(*device));
    if (block.places.size() == job->devices().size()) {
      block.first = static_cast<size_t>(job->first_copy());
      block.total = static_cast<size_t>(job->num_copies());
      block.job = job;
      return block;
    }
    block.places.clear();
  }
  for (const auto& place : places_) add(place.get());
  block.total = block.places.size();
  return block;
}

std::vector<Tensor> VariableState::read(const Block& block) const {
  std::vector<Tensor> copies;
  for (const VariablePlace* place : block.places)
    copies.push_back(read_place(*place, dtype_, shape_));
  return copies;
}

void VariableState::check_aggregate(size_t copies) const {
  if (copies > 1 && options_.aggregation == VariableAggregation::kNone)
    throw InvalidArgument(
        "variable {}: got a read over replicas of a variable that each of them writes (ON_READ); "
        "want an "
        "aggregation SUM, MEAN or ONLY_FIRST_REPLICA",
        name());
}

/// What replicas wrote to copies of their own, made one.
Tensor VariableState::aggregate(const std::vector<Tensor>& copies) const {
  check_aggregate(copies.size());
  if (copies.size() == 1 || options_.aggregation == VariableAggregation::kOnlyFirstReplica)
    return copies.front();
  Tensor total = sum_of(copies);
  if (options_.aggregation == VariableAggregation::kMean)
    for (int64_t k = 0; k < total.num_elements(); ++k)
      total.data<double>()[k] /= static_cast<double>(copies.size());
  return total.cast(dtype_);
}

/// Writes what each copy holds, so that together they are `value`, to the places that are current.
void VariableState::share_out(const Tensor& value) {
  const Block all = block();
  const bool divided = options_.aggregation == VariableAggregation::kSum && all.total > 1;
  for (size_t i = 0; i < all.places.size(); ++i)
    write(*all.places[i],
          (divided ? share_of(value, all.first + i, all.total) : value).contiguous());
  for (const auto& place : places_)
    place->current =
        std::find(all.places.begin(), all.places.end(), place.get()) != all.places.end();
  in_copies_ = all.job != nullptr;
}

Tensor VariableState::current_value() const {
  if (places_.empty()) {
    initialise();
    return host_.clone();
  }
  if (!is_of_each_replica()) return read_place(*first_current(), dtype_, shape_);
  if (in_copies_)
    throw FailedPrecondition(
        "variable {}: got a use by this process alone of what replicas of several hold of their "
        "own (ON_READ); want it in steps of their strategy, or assigned anew after its end",
        name());
  return aggregate(read(block()));
}

/// The same of all processes.
Tensor VariableState::value_of_replicas() const {
  Block all;
  std::vector<Tensor> copies;
  exclusively([&] {
    if (!places_.empty()) all = block();
    copies = all.job ? read(all) : std::vector{current_value()};
  });
  if (!all.job) return copies.front();
  check_aggregate(all.total);
  return aggregate(all.job->gather(name(), copies));
}

Tensor VariableState::value() const {
  if (is_of_each_replica()) return value_of_replicas();
  return exclusively([this] { return current_value(); });
}

Tensor VariableState::value(const Device& device) const {
  return exclusively([&] {
    const VariablePlace* place = find(device);
    return place && place->current ? read_place(*place, dtype_, shape_) : current_value();
  });
}

void VariableState::copy_value(void* to) const {
  if (is_of_each_replica()) {
    std::memcpy(to, value().raw(), num_bytes());
    return;
  }
  for (;;) {
    Device* device = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (places_.empty()) {
        initialise();
        std::copy_n(static_cast<const char*>(host_.raw()), num_bytes(), static_cast<char*>(to));
        return;
      }
      device = first_current()->device;
    }
    const DeviceTurn turn(std::span(&device, 1));
    const std::lock_guard lock(mutex_);
    const VariablePlace& place = *first_current();
    if (place.device != device) continue;
    device->copy_to_host(to, place.data, num_bytes());
    return;
  }
}

void VariableState::write(VariablePlace& place, const Tensor& value) {
  place.device->copy_from_host(place.data, value.raw(), num_bytes());
  ++place.version;
  place.current = true;
}

void VariableState::assign(const Tensor& value) {
  check(value);
  exclusively([&] {
    if (places_.empty()) {
      host_ = value.clone();
      initial_ = nullptr;
      return;
    }
    if (is_of_each_replica()) {
      share_out(value);
    } else {
      const Tensor each = value.contiguous();
      for (const auto& place : places_) write(*place, each);
    }
    forget_users();
  });
}

void VariableState::assign(const Device& device, const Tensor& value) {
  check(value);
  const Tensor source = value.contiguous();
  exclusively([&] {
    VariablePlace* place = find(device);
    if (!place)
      throw NotFound("variable {}: got device {}; want one that holds the variable", name(),
                     device.name().to_string());
    write(*place, source);
    forget_users();
  });
}

VariablePlace& VariableState::place(Device& device) {
  const std::lock_guard lock(mutex_);
  return place_locked(device);
}

VariablePlace& VariableState::place_locked(Device& device) {
  if (VariablePlace* known = find(device)) return *known;
  if (places_.empty()) initialise();
  const Tensor current = places_.empty() ? host_ : read_place(*first_current(), dtype_, shape_);
  auto place = std::make_unique<VariablePlace>();
  place->device = &device;
  place->memory = device.allocate(num_bytes());
  place->data = place->memory.get();
  device.copy_from_host(place->data, current.raw(), current.num_bytes());
  places_.push_back(std::move(place));
  host_ = Tensor();
  forget_users();
  return *places_.back();
}

void VariableState::relocate(Device& device, void* data, std::shared_ptr<void> memory) {
  const std::lock_guard lock(mutex_);
  VariablePlace& place = place_locked(device);
  const Tensor kept = read_place(place, dtype_, shape_);
  device.copy_from_host(data, kept.raw(), kept.num_bytes());
  place.data = data;
  place.memory = std::move(memory);
  ++place.version;
}

void VariableState::belong_to(const std::shared_ptr<const std::string>& job,
                              const std::shared_ptr<ReplicaCopies>& copies) {
  const std::lock_guard lock(mutex_);
  copies_ = copies;
  job_ = job;
  job_id_ = job.get();
  for (const auto& place : places_) place->device->turn().note_user(nullptr);
}

void VariableState::check_writer(const std::string* job) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<const std::string> owner = job_.lock();
  if (!owner) job_id_ = nullptr;
  if (owner && owner.get() != job)
    throw FailedPrecondition(
        "variable {}: got a step of {} that writes it; it belongs to {}, whose other processes "
        "would not hear of it; want the step in that strategy's scope",
        name(), job ? *job : "this process alone", *owner);
}

void VariableState::prepare_for(std::span<Device* const> devices, bool writes) {
  const std::lock_guard lock(mutex_);
  if (is_of_each_replica()) return prepare_replicas(devices);
  for (Device* device : devices) {
    VariablePlace& place = place_locked(*device);
    if (!place.current) write(place, read_place(*first_current(), dtype_, shape_));
  }
  if (!writes) return;
  for (const auto& place : places_)
    if (!contains(devices, place->device)) place->current = false;
}

void VariableState::prepare_replicas(std::span<Device* const> devices) {
  const bool held_elsewhere = std::any_of(places_.begin(), places_.end(), [&](const auto& place) {
    return place->current && !contains(devices, place->device);
  });
  const bool held_here =
      !places_.empty() && std::all_of(devices.begin(), devices.end(), [this](Device* device) {
        const VariablePlace* place = find(*device);
        return place && place->current;
      });
  if (held_here && !held_elsewhere && (!in_copies_ || block().job)) return put_in_order(devices);
  const Tensor whole = current_value();
  for (Device* device : devices) place_locked(*device).current = true;
  for (const auto& place : places_) place->current = contains(devices, place->device);
  put_in_order(devices);
  share_out(whole);
}

/// The first replica's place is the first of those that are current.
void VariableState::put_in_order(std::span<Device* const> devices) {
  const auto rank = [&](const std::unique_ptr<VariablePlace>& place) {
    return std::find(devices.begin(), devices.end(), place->device) - devices.begin();
  };
  std::stable_sort(places_.begin(), places_.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

}  // namespace cohort
