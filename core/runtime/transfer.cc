#include "cohort/core/runtime/transfer.h"

#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/spin_wait.h"

namespace cohort {

void RunState::wait_for_all(Device& device, std::atomic<int>& ready, int num_lanes) {
  device.synchronize();  // GPUs say only now what their kernels have found
  ready.fetch_add(1, std::memory_order_acq_rel);
  const bool done = spin_wait(
      [&] {
        return ready.load(std::memory_order_acquire) == num_lanes ||
               failed.load(std::memory_order_relaxed);
      },
      kLaneTimeout);
  if (!done) throw DeadlineExceeded("executable: got no answer from a device in 600 s");
  if (failed.load()) throw Cancelled("executable: another device failed");
}

void SendKernel::run() {
  channel_.source_device->synchronize();
  channel_.sent.store(state_.run.load(std::memory_order_relaxed), std::memory_order_release);
}

void ReceiveKernel::run() {
  const uint64_t run = state_.run.load(std::memory_order_relaxed);
  const bool arrived = spin_wait(
      [&] {
        return channel_.sent.load(std::memory_order_acquire) == run ||
               state_.failed.load(std::memory_order_relaxed);
      },
      kLaneTimeout);
  if (!arrived)
    throw DeadlineExceeded("receive: got nothing from {} in 600 s",
                           channel_.source_device->name().to_string());
  if (state_.failed.load(std::memory_order_relaxed))
    throw Cancelled("receive: another device failed");
  device_.copy_from_device(*target_.slot, *channel_.source_device, *channel_.source.slot,
                           target_.num_bytes());
}

namespace {

class WaitAndTakeKernel final : public Kernel {
 public:
  WaitAndTakeKernel(Communicator::Request& request, std::unique_ptr<Kernel> take)
      : request_(request), take_(std::move(take)) {}
  void run() override {
    request_.wait();
    take_->run();
  }

 private:
  Communicator::Request& request_;
  const std::unique_ptr<Kernel> take_;
};

}  // namespace

std::unique_ptr<Kernel> make_wait_and_take(Runtime& runtime, Device& device, const Bucket& bucket,
                                           const StepState* const* step) {
  Graph graph(runtime.ops());
  const TensorType type{bucket.dtype, Shape{bucket.own_elements}};
  const Node& copy = *graph.add("Copy", {graph.placeholder("scattered", type)});
  const Operand from{type.dtype, type.shape, &bucket.scattered, nullptr};
  const Operand to{type.dtype, type.shape, &bucket.own, nullptr};
  return std::make_unique<WaitAndTakeKernel>(*bucket.request,
                                             runtime.kernels().make({.node = copy,
                                                                     .inputs = std::span(&from, 1),
                                                                     .outputs = std::span(&to, 1),
                                                                     .variables = {},
                                                                     .workspace = nullptr,
                                                                     .step = step,
                                                                     .device = device}));
}

}  // namespace cohort
