#include <algorithm>
#include <cstdlib>

#include "cohort/core/graph/variable.h"

/// Variables of which each replica has a copy of its own (kOnRead).
namespace cohort {
namespace {

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

bool holds(std::span<Device* const> devices, const Device* device) {
  return std::find(devices.begin(), devices.end(), device) != devices.end();
}

}  // namespace

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

void VariableState::prepare_replicas(std::span<Device* const> devices) {
  const bool held_elsewhere = std::any_of(places_.begin(), places_.end(), [&](const auto& place) {
    return place->current && !holds(devices, place->device);
  });
  const bool held_here =
      !places_.empty() && std::all_of(devices.begin(), devices.end(), [this](Device* device) {
        const VariablePlace* place = find(*device);
        return place && place->current;
      });
  if (held_here && !held_elsewhere && (!in_copies_ || block().job)) return put_in_order(devices);
  const Tensor whole = current_value();
  for (Device* device : devices) place_locked(*device).current = true;
  for (const auto& place : places_) place->current = holds(devices, place->device);
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
