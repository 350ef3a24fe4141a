#pragma once

namespace cohort::nn {

/// Is told when an object has got parts that it did not have before: weights, layers, slots.
class PartsObserver {
 public:
  virtual ~PartsObserver() = default;
  virtual void parts_made() = 0;
};

}  // namespace cohort::nn
