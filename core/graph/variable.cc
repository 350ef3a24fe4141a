#include "core/graph/variable.h"

#include "core/runtime/device.h"

namespace cohort {
namespace {

Tensor read_place(const VariablePlace& place, DType dtype, const Shape& shape) {
  Tensor tensor(dtype, shape);
  place.device->copy_to_host(tensor.raw(), place.data, tensor.num_bytes());
  return tensor;
}

}  // namespace

VariableState::VariableState(DType dtype, Shape shape, std::function<Tensor()> initial,
                             VariableOptions options)
    : dtype_(dtype),
      shape_(std::move(shape)),
      initial_(std::move(initial)),
      options_(std::move(options)) {
  if (!shape_.is_concrete())
    throw InvalidArgument("variable {}: got shape {}; want numbers in every dimension", name(),
                          shape_);
}

VariableState::VariableState(Tensor initial, VariableOptions options)
    : dtype_(initial.dtype()),
      shape_(initial.shape()),
      host_(initial.clone()),
      options_(std::move(options)) {}

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

Tensor VariableState::value() const {
  if (!places_.empty()) return read_place(*places_.front(), dtype_, shape_);
  initialise();
  return host_.clone();
}

Tensor VariableState::value(const Device& device) const {
  for (const auto& place : places_)
    if (place->device == &device) return read_place(*place, dtype_, shape_);
  return value();
}

void VariableState::assign(const Tensor& value) {
  check(value);
  if (places_.empty()) {
    host_ = value.clone();
    initial_ = nullptr;
    return;
  }
  for (const auto& place : places_) assign(*place->device, value);
}

void VariableState::assign(const Device& device, const Tensor& value) {
  check(value);
  const Tensor source = value.contiguous();
  for (const auto& place : places_) {
    if (place->device != &device) continue;
    place->device->copy_from_host(place->data, source.raw(), source.num_bytes());
    ++place->version;
    return;
  }
  throw NotFound("variable {}: got device {}; want one that holds the variable", name(),
                 device.name().to_string());
}

VariablePlace& VariableState::place(Device& device) {
  for (const auto& place : places_)
    if (place->device == &device) return *place;
  const Tensor current = value();
  auto place = std::make_unique<VariablePlace>();
  place->device = &device;
  place->memory = device.allocate(num_bytes());
  place->data = place->memory.get();
  device.copy_from_host(place->data, current.raw(), current.num_bytes());
  places_.push_back(std::move(place));
  host_ = Tensor();
  return *places_.back();
}

void VariableState::relocate(Device& device, void* data, std::shared_ptr<void> memory) {
  VariablePlace& current = place(device);
  const Tensor kept = read_place(current, dtype_, shape_);
  device.copy_from_host(data, kept.raw(), kept.num_bytes());
  current.data = data;
  current.memory = std::move(memory);
  ++current.version;
}

}  // namespace cohort
