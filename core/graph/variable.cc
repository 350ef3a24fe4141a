#include "core/graph/variable.h"

#include "core/runtime/device.h"

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
  check_aggregation(options_, dtype_);
}

VariableState::VariableState(Tensor initial, VariableOptions options)
    : dtype_(initial.dtype()),
      shape_(initial.shape()),
      host_(initial.clone()),
      options_(std::move(options)) {
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

/// What replicas wrote to places of their own, made one.
Tensor VariableState::aggregate() const {
  if (options_.aggregation == VariableAggregation::kNone)
    throw InvalidArgument(
        "variable {}: got a read over replicas of a variable that each of them writes (ON_READ); "
        "want an "
        "aggregation SUM, MEAN or ONLY_FIRST_REPLICA",
        name());
  Tensor first = read_place(*places_.front(), dtype_, shape_);
  if (options_.aggregation == VariableAggregation::kOnlyFirstReplica) return first;
  Tensor total = first.cast(DType::kF64);
  for (size_t i = 1; i < places_.size(); ++i) {
    const Tensor next = read_place(*places_[i], dtype_, shape_).cast(DType::kF64);
    for (int64_t k = 0; k < total.num_elements(); ++k)
      total.data<double>()[k] += next.data<double>()[k];
  }
  if (options_.aggregation == VariableAggregation::kMean)
    for (int64_t k = 0; k < total.num_elements(); ++k)
      total.data<double>()[k] /= static_cast<double>(places_.size());
  return total.cast(dtype_);
}

Tensor VariableState::value() const {
  if (options_.synchronization == VariableSynchronization::kOnRead && places_.size() > 1)
    return aggregate();
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
  const bool shared = options_.synchronization == VariableSynchronization::kOnRead &&
                      options_.aggregation == VariableAggregation::kSum && places_.size() > 1;
  Tensor each = value;
  if (shared) {
    Tensor wide = value.cast(DType::kF64);
    for (int64_t k = 0; k < wide.num_elements(); ++k)
      wide.data<double>()[k] /= static_cast<double>(places_.size());
    each = wide.cast(dtype_);
  }
  for (const auto& place : places_) assign(*place->device, each);
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
  const Tensor current = places_.empty() ? value() : read_place(*places_.front(), dtype_, shape_);
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
