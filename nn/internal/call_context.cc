#include "cohort/nn/internal/call_context.h"

namespace cohort::nn::internal {
namespace {

const CallContext*& innermost_call() {
  thread_local const CallContext* context = nullptr;
  return context;
}

}  // namespace

CallContext::CallContext(const LayerImpl* layer, bool training, std::optional<DType> autocast)
    : layer(layer),
      training(training),
      autocast(autocast),
      losses(innermost_call() ? innermost_call()->losses : nullptr),
      outer(innermost_call()) {
  innermost_call() = this;
}

CallContext::~CallContext() { innermost_call() = outer; }

const CallContext* current_call() { return innermost_call(); }

LossCollector::LossCollector() : context_(nullptr, false) { context_.losses = &losses_; }

}  // namespace cohort::nn::internal
