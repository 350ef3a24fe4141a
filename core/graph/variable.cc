#include "cohort/core/graph/variable.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/departure.h"

namespace cohort {
namespace {

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
  options_.placement.check(name(), shape_);
}

VariableState::VariableState(Tensor initial, VariableOptions options)
    : dtype_(initial.dtype()),
      shape_(initial.shape()),
      options_(std::move(options)),
      host_(initial.clone()) {
  check_aggregation(options_, dtype_);
  options_.placement.check(name(), shape_);
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

Tensor VariableState::read_place(const VariablePlace& place) const {
  place.settle();
  Tensor tensor(dtype_, shape_);
  place.device->copy_to_host(tensor.raw(), place.data, tensor.num_bytes());
  return tensor;
}

/// Calls fn with the turns of all devices that hold the variable, and with mutex_.
void VariableState::exclusively(const std::function<void()>& fn) const {
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
  for (const VariablePlace* place : block.places) copies.push_back(read_place(*place));
  return copies;
}

Tensor VariableState::current_value() const {
  if (places_.empty()) {
    initialise();
    return host_.clone();
  }
  if (!is_of_each_replica()) return read_place(*first_current());
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
  if (is_sharded() || part().whole) {
    const Tensor flat = elements({0, shape_.num_elements()});
    Tensor whole(dtype_, shape_);
    if (whole.num_bytes() > 0) std::memcpy(whole.raw(), flat.raw(), whole.num_bytes());
    return whole;
  }
  Tensor value;
  exclusively([&] { value = current_value(); });
  return value;
}

Tensor VariableState::value(const Device& device) const {
  if (is_sharded() || part().whole) return value();
  Tensor value;
  exclusively([&] {
    const VariablePlace* place = find(device);
    value = place && place->current ? read_place(*place) : current_value();
  });
  return value;
}

void VariableState::copy_value(void* to) const {
  if (is_of_each_replica() || is_sharded() || part().whole) {
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
    place.settle();
    device->copy_to_host(to, place.data, num_bytes());
    return;
  }
}

/// Where a place's memory may still be read by others, it moves to memory of its own. Steps that
/// want it where it was move it back.
void VariableState::leave_to_others(VariablePlace& place) const {
  if (!place.arrival || let_depart(place)) return;
  place.settle();
  const std::shared_ptr<void> memory = place.device->allocate(num_bytes());
  place.device->copy_from_device(memory.get(), *place.device, place.data, num_bytes());
  place.device->synchronize();
  place.data = memory.get();
  place.memory = memory;
  place.arrival = nullptr;
  place.device->turn().note_user(nullptr);
}

void VariableState::write(VariablePlace& place, const Tensor& value) {
  leave_to_others(place);
  place.device->copy_from_host(place.data, value.raw(), num_bytes());
  ++place.version;
  place.current = true;
}

void VariableState::assign(const Tensor& value) {
  check(value);
  if (is_sharded() || part().whole) return assign_elements({0, shape_.num_elements()}, value);
  exclusively([&] {
    if (places_.empty()) {
      // Over the bytes that are there, for fresh memory costs more than the copy.
      const bool fits = host_.defined() && num_bytes() > 0 && host_.reuse_as(dtype_, shape_);
      if (fits && value.is_contiguous())
        std::memcpy(host_.raw(), value.raw(), num_bytes());
      else
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
  if (part_.whole)
    throw FailedPrecondition(
        "variable {}: got a use of all of it on {}; it is {}, as a part of {}: want it in steps of "
        "the strategy that has laid it out so",
        name(), device.name().to_string(), part_.whole->options().placement.to_string(),
        part_.whole->name());
  if (VariablePlace* known = find(device)) return *known;
  if (is_sharded())
    throw FailedPrecondition("variable {}: got a use on {}, which has no part of it: it is {}",
                             name(), device.name().to_string(), options_.placement.to_string());
  if (places_.empty()) initialise();
  const Tensor current = places_.empty() ? host_ : read_place(*first_current());
  auto place = std::make_unique<VariablePlace>();
  place->device = &device;
  place->elements = {0, shape_.num_elements()};
  place->memory = device.allocate(num_bytes());
  place->data = place->memory.get();
  device.copy_from_host(place->data, current.raw(), current.num_bytes());
  places_.push_back(std::move(place));
  host_ = Tensor();
  forget_users();
  return *places_.back();
}

void VariableState::relocate(Device& device, void* data, std::shared_ptr<void> memory,
                             std::shared_ptr<Arrival> arrival) {
  const std::lock_guard lock(mutex_);
  VariablePlace& place = place_locked(device);
  const Tensor kept = read_place(place);
  device.copy_from_host(data, kept.raw(), kept.num_bytes());
  place.data = data;
  place.memory = std::move(memory);
  place.arrival = std::move(arrival);
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
  if (is_sharded()) return prepare_parts(devices);
  for (Device* device : devices) {
    VariablePlace& place = place_locked(*device);
    if (!place.current) write(place, read_place(*first_current()));
  }
  if (!writes) return;
  for (const auto& place : places_)
    if (!contains(devices, place->device)) place->current = false;
}

}  // namespace cohort
