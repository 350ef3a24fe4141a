#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "cohort/core/graph/variable.h"

namespace cohort {

/// The value of a variable on its way out of a place of a CPU, where it stays readable: whoever is
/// about to write the place has it copied first.
class Departure final : public Arrival {
 public:
  /// `copy` throws nothing.
  explicit Departure(std::function<void()> copy) : copy_(std::move(copy)) {}

  /// Returns when the value has been copied: by this thread, unless another one is at it. Any
  /// thread.
  void finish();
  /// What is there may be read.
  void settle() override {}
  void settle_everywhere() override {}

 private:
  enum class State { kWaiting, kCopying, kDone };
  std::function<void()> copy_;
  std::atomic<State> state_{State::kWaiting};
};

/// A copy of the variable's value of now.
struct DepartingValue {
  Tensor value;                                    ///< not to be read before departure->finish()
  std::shared_ptr<Departure> departure = nullptr;  ///< null: it has been copied
};
/// Begins to copy a value. What lies elsewhere than on a CPU, is sharded, published between devices
/// or of each replica (kOnRead) is copied by this call, which is collective where value() is.
DepartingValue depart(VariableState& variable);

/// Whether something departs from the place; it has been copied then, and is forgotten. For who has
/// the device's turn and is about to write.
bool let_depart(VariablePlace& place);

}  // namespace cohort
