#include "cohort/nn/internal/call_context.h"

namespace cohort::nn::internal {
namespace {

const CallContext*& innermost() {
  thread_local const CallContext* context = nullptr;
  return context;
}

}  // namespace

CallContext::CallContext(const LayerImpl* layer, bool training)
    : layer(layer),
      training(training),
      losses(innermost() ? innermost()->losses : nullptr),
      outer(innermost()) {
  innermost() = this;
}

CallContext::~CallContext() { innermost() = outer; }

const CallContext* current_call() { return innermost(); }

LossCollector::LossCollector() : context_(nullptr, false) { context_.losses = &losses_; }

}  // namespace cohort::nn::internal
