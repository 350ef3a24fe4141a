#pragma once

#include <atomic>

#include "cohort/core/chrono.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/kernel.h"
#include "cohort/core/runtime/replica_turns.h"

/// Schedule entries that wait: values between the devices of one executable, and collectives.
namespace cohort {

class Runtime;

/// How long a device of an executable waits for another.
inline constexpr std::chrono::minutes kLaneTimeout{10};

/// What the devices of one executable share during a run.
struct RunState {
  std::atomic<uint64_t> run{0};
  std::atomic<bool> failed{false};
  std::atomic<int> ready_to_vote{0};
  std::atomic<int> ready_to_commit{0};

  /// Waits, as one of `num_lanes` devices that count themselves in `ready`, until each has done
  /// what could fail. Throws what failed on `device`, Cancelled when another has failed, and
  /// DeadlineExceeded after kLaneTimeout.
  void wait_for_all(Device& device, std::atomic<int>& ready, int num_lanes);
};

/// A value on its way between two devices of one executable.
struct Channel {
  Operand source;
  Device* source_device = nullptr;
  std::atomic<uint64_t> sent{0};  ///< number of the run in which the value was last made
};

/// Says that the channel's value is made in this run.
class SendKernel final : public Kernel {
 public:
  SendKernel(Channel& channel, const RunState& state) : channel_(channel), state_(state) {}
  void run() override;

 private:
  Channel& channel_;
  const RunState& state_;
};

/// Waits for the channel's value and copies it to `target` on `device`. Throws as
/// RunState::wait_for_all.
class ReceiveKernel final : public Kernel {
 public:
  ReceiveKernel(Channel& channel, const RunState& state, Operand target, Device& device)
      : channel_(channel), state_(state), target_(std::move(target)), device_(device) {}
  void run() override;

 private:
  Channel& channel_;
  const RunState& state_;
  Operand target_;
  Device& device_;
};

/// The devices of this executable meet before its replica votes (step_vote.h).
class MeetKernel final : public Kernel {
 public:
  MeetKernel(RunState& state, Device& device, int num_lanes)
      : state_(state), device_(device), num_lanes_(num_lanes) {}
  void run() override { state_.wait_for_all(device_, state_.ready_to_vote, num_lanes_); }

 private:
  RunState& state_;
  Device& device_;
  const int num_lanes_;
};

class StartKernel final : public Kernel {
 public:
  explicit StartKernel(Communicator::Request& request) : request_(request) {}
  void run() override { request_.start(); }

 private:
  Communicator::Request& request_;
};

/// The start of a collective to which replicas give in turn: the last one's, or each one's.
class TurnStartKernel final : public Kernel {
 public:
  TurnStartKernel(ReplicaTurns& turns, size_t bucket, Communicator::Request& request)
      : turns_(turns), bucket_(bucket), request_(request) {}
  void run() override {
    turns_.give(bucket_);
    if (turns_.is_last() || turns_.exchanges_each()) request_.start();
  }

 private:
  ReplicaTurns& turns_;
  const size_t bucket_;
  Communicator::Request& request_;
};

/// The wait for what one of several turns has given.
class TurnWaitKernel final : public Kernel {
 public:
  TurnWaitKernel(ReplicaTurns& turns, size_t bucket, Communicator::Request& request)
      : turns_(turns), bucket_(bucket), request_(request) {}
  void run() override {
    request_.wait();
    turns_.take(bucket_);
  }

 private:
  ReplicaTurns& turns_;
  const size_t bucket_;
  Communicator::Request& request_;
};

class WaitKernel final : public Kernel {
 public:
  explicit WaitKernel(Communicator::Request& request) : request_(request) {}
  void run() override { request_.wait(); }

 private:
  Communicator::Request& request_;
};

/// A WaitKernel for the bucket that also moves what its memory has for this rank to where that lies
/// apart.
std::unique_ptr<Kernel> make_wait_and_take(Runtime& runtime, Device& device, const Bucket& bucket,
                                           const StepState* const* step);

/// Begins to give every rank all parameters of a group, which come when somebody reads them.
class PublishKernel final : public Kernel {
 public:
  explicit PublishKernel(const PlacedGroup& placed) : placed_(placed) {}
  void run() override { placed_.block->publish(placed_.publish); }

 private:
  const PlacedGroup& placed_;
};

}  // namespace cohort
