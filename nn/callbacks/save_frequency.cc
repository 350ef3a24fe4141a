#include "cohort/nn/callbacks/save_frequency.h"

#include <string_view>

#include "cohort/core/error.h"

namespace cohort::nn {

SaveFrequency::SaveFrequency(int64_t batches) : batches_(batches) {
  if (batches < 1)
    throw InvalidArgument("save_freq: got {}; want \"epoch\", or 1 batch or more", batches);
}

SaveFrequency::SaveFrequency(const char* at) {
  if (std::string_view(at) != "epoch")
    throw InvalidArgument("save_freq: got \"{}\"; want \"epoch\", or a number of batches", at);
}

namespace internal {

bool BatchCounter::is_due(int64_t batch, int64_t every) {
  since_ += batch > latest_ ? batch - latest_ : batch + 1;
  latest_ = batch;
  if (since_ < every) return false;
  since_ = 0;
  return true;
}

void BatchCounter::save(NamedTensors& state) const {
  state.set("batches_since", since_);
  state.set("latest_batch", latest_);
}

void BatchCounter::load(const NamedTensors& state) {
  since_ = state.integer("batches_since");
  latest_ = state.integer("latest_batch");
}

}  // namespace internal
}  // namespace cohort::nn
