#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort::nn {
class LayerImpl;
}

/// The layer being called, on this thread: part of the stack of scopes while a function is traced.
namespace cohort::nn::internal {

class CallContext {
 public:
  CallContext(const LayerImpl* layer, bool training, std::optional<DType> autocast = {});
  ~CallContext();
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  const LayerImpl* layer;  ///< nullptr in the context of a LossCollector
  bool training;
  std::optional<DType> autocast;  ///< in which variables are read; absent: as they are
  std::vector<Value>* losses;     ///< of the nearest LossCollector; may be null
  const CallContext* outer;
};

/// The innermost; nullptr outside of every call.
const CallContext* current_call();

/// Collects what layers add to the loss while it lives.
class LossCollector {
 public:
  LossCollector();
  const std::vector<Value>& losses() const { return losses_; }

 private:
  std::vector<Value> losses_;
  CallContext context_;
};

}  // namespace cohort::nn::internal
