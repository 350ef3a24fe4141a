#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cohort/core/runtime/function.h"
#include "cohort/core/tensor.h"
#include "cohort/data/input_pipeline.h"

namespace cohort::nn {

/// One thing of a program's own that is saved.
struct ResumableItem {
  DType dtype;
  Shape shape;
  std::function<Tensor()> value;
  std::function<void(const Tensor&)> assign;
};

/// What a program's own loop counts, by reference: see resumable().
class Resumable {
 public:
  explicit Resumable(std::vector<ResumableItem> items)
      : items_(std::make_shared<std::vector<ResumableItem>>(std::move(items))) {}
  explicit Resumable(std::shared_ptr<std::vector<ResumableItem>> items)
      : items_(std::move(items)) {}

  bool defined() const { return items_ != nullptr; }
  const std::vector<ResumableItem>& items() const { return *items_; }
  const std::shared_ptr<std::vector<ResumableItem>>& shared() const { return items_; }

 private:
  std::shared_ptr<std::vector<ResumableItem>> items_;
};

namespace internal {

ResumableItem item_of_bytes(std::function<std::string()> value,
                            std::function<void(const std::string&)> assign);

template <class At>
requires std::same_as<At, data::Position> || std::same_as<At, data::StepPosition> ResumableItem
item_of(At& at) {
  return item_of_bytes([&at] { return at.to_bytes(); },
                       [&at](const std::string& bytes) { at = At::from_bytes(bytes); });
}
/// How often a function has run: the step of its random numbers.
ResumableItem item_of(const Function& function);

template <std::integral T>
ResumableItem item_of(T& number) {
  return {DType::kI64, Shape{}, [&number] { return Tensor::scalar(static_cast<int64_t>(number)); },
          [&number](const Tensor& value) { number = static_cast<T>(value.item<int64_t>()); }};
}
template <std::floating_point T>
ResumableItem item_of(T& number) {
  return {DType::kF64, Shape{}, [&number] { return Tensor::scalar(static_cast<double>(number)); },
          [&number](const Tensor& value) { number = static_cast<T>(value.item<double>()); }};
}

}  // namespace internal

/// What a loop of one's own needs, to be saved beside its model and restored in place: counters,
/// numbers, positions in data (data::Position, data::StepPosition) and the functions that it runs:
///
///   int64_t epoch = 0, batch = 0;
///   nn::Checkpoint checkpoint({{"model", model}, {"loop", resumable(epoch, batch)}});
///
/// All of them outlive the checkpoint, and keep their order. In a job each process has equal ones.
template <class... T>
Resumable resumable(T&... values) {
  return Resumable(std::vector<ResumableItem>{internal::item_of(values)...});
}

}  // namespace cohort::nn

namespace cohort {
using nn::resumable;
}  // namespace cohort
