#include "cohort/core/graph/variable.h"

#include <algorithm>

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

/// What replicas wrote to places of their own, made one.
Tensor VariableState::aggregate() const {
  if (options_.aggregation == VariableAggregation::kNone)
    throw InvalidArgument(
        "variable {}: got a read over replicas of a variable that each of them writes (ON_READ); "
        "want an "
        "aggregation SUM, MEAN or ONLY_FIRST_REPLICA",
        name());
  const Tensor first = read_place(*first_current(), dtype_, shape_);
  if (options_.aggregation == VariableAggregation::kOnlyFirstReplica) return first;
  Tensor total(DType::kF64, shape_);
  double count = 0;
  for (const auto& place : places_) {
    if (!place->current) continue;
    const Tensor next = read_place(*place, dtype_, shape_).cast(DType::kF64);
    for (int64_t k = 0; k < total.num_elements(); ++k)
      total.data<double>()[k] += next.data<double>()[k];
    ++count;
  }
  if (options_.aggregation == VariableAggregation::kMean)
    for (int64_t k = 0; k < total.num_elements(); ++k) total.data<double>()[k] /= count;
  return total.cast(dtype_);
}

/// What each of so many places holds, so that together they are `value`.
Tensor VariableState::shared_out(const Tensor& value, size_t places) const {
  if (!is_of_each_replica() || options_.aggregation != VariableAggregation::kSum || places < 2)
    return value;
  Tensor wide = value.cast(DType::kF64);
  for (int64_t k = 0; k < wide.num_elements(); ++k)
    wide.data<double>()[k] /= static_cast<double>(places);
  return wide.cast(dtype_);
}

Tensor VariableState::current_value() const {
  if (places_.empty()) {
    initialise();
    return host_.clone();
  }
  const auto count = std::count_if(places_.begin(), places_.end(),
                                   [](const auto& place) { return place->current; });
  if (is_of_each_replica() && count > 1) return aggregate();
  return read_place(*first_current(), dtype_, shape_);
}

Tensor VariableState::value() const {
  return exclusively([this] { return current_value(); });
}

Tensor VariableState::value(const Device& device) const {
  return exclusively([&] {
    const VariablePlace* place = find(device);
    return place && place->current ? read_place(*place, dtype_, shape_) : current_value();
  });
}

void VariableState::copy_value(void* to) const {
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
    const Tensor each = shared_out(value, places_.size()).contiguous();
    for (const auto& place : places_) write(*place, each);
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

void VariableState::belong_to(const std::shared_ptr<const std::string>& job) {
  const std::lock_guard lock(mutex_);
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
  if (places_.empty() || (held_here && !held_elsewhere)) {
    for (Device* device : devices) place_locked(*device);
    return;
  }
  const Tensor each = shared_out(current_value(), devices.size()).contiguous();
  for (Device* device : devices) write(place_locked(*device), each);
  for (const auto& place : places_) place->current = contains(devices, place->device);
}

}  // namespace cohort
