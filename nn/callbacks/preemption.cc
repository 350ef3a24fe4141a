#include "cohort/nn/callbacks/preemption.h"

#include <algorithm>
#include <string>

#include "cohort/core/wire/protobuf.h"

namespace cohort::nn::internal {

int Preemption::poll() {
  if (workers_.count() == 1) return watch_.seen();
  if (++calls_ < interval_) return 0;
  wire::Writer mine;
  mine.write_uint(1, static_cast<uint64_t>(watch_.seen()));
  mine.write_uint(2, static_cast<uint64_t>(next_interval()));
  const std::vector<std::string> all = workers_.all_gather("preemption", mine.data());
  int signal = 0;
  for (size_t worker = all.size(); worker-- > 0;) {  // the chief's interval is what remains
    wire::Reader in(all[worker], "preemption");
    while (in.next())
      if (const auto value = static_cast<int64_t>(in.read_uint()); in.field() == 2)
        interval_ = value;
      else if (value != 0)
        signal = static_cast<int>(value);
  }
  calls_ = 0;
  told_ = Clock::now();
  return signal;
}

int64_t Preemption::next_interval() const {
  const std::chrono::duration<double> took = Clock::now() - told_;
  const std::chrono::duration<double> wanted = kEvery;
  const double calls = static_cast<double>(interval_) * wanted / std::max(took, wanted / 100);
  return std::clamp(static_cast<int64_t>(calls), int64_t{1}, std::min(kMostCalls, 2 * interval_));
}

}  // namespace cohort::nn::internal
