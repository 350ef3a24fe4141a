#include "cohort/distribute/replica_runner.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <optional>

#include "cohort/core/runtime/device_thread.h"
#include "cohort/core/runtime/parameter_group.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/step_devices.h"
#include "cohort/distribute/replica_check.h"
#include "cohort/distribute/replica_device.h"
#include "cohort/distribute/replica_feeds.h"
#include "cohort/distribute/step_recording.h"

namespace cohort::distribute {
namespace {

class ReplicaRunner final : public StepRunner {
 public:
  ReplicaRunner(Runtime& runtime, const Trace& trace, const ReplicaPart& part,
                StepGroup& step_group, int64_t batch_size, Workers& workers)
      : runtime_(runtime),
        trace_(trace),
        workers_(workers),
        devices_(part.job),
        feeds_(trace_, batch_size, static_cast<size_t>(part.first_replica),
               static_cast<size_t>(std::accumulate(part.blocks.begin(), part.blocks.end(), 0)),
               static_cast<size_t>(part.num_replicas), workers),
        recording_(workers) {
    if (part.num_replicas > 1) check_replicas_stay_equal(trace, part.turns != Turns::kNone);
    check_devices_stay_apart(trace, part.devices);
    for (Device* device : part.devices) devices_.add(runtime, *trace.graph, *device);
    devices_.add_groups(trace.groups);
    const DeviceTurn turn = devices_.take();
    step_group.prepare_in([&](const std::shared_ptr<GroupRanks>& group) { join(group, part); });
    carriers_.front()->replicas->device().bind_thread();
    records_ = can_record(part);
    in_group_ = group_->add_step([this] { drop_recordings(); });
    count_bytes();
  }

  DeviceTurn take_turn() override { return devices_.take(); }

  void run(const data::Element& batch, const StepNumber& number) override {
    run(batch, {.offset = 0, .global_rows = rows_in(batch)}, number);
  }

  void run(const data::Element& batch, const data::RowRange& range,
           const StepNumber& number) override {
    const auto entered = workers_.enter("a step");
    const DeviceTurn turn = devices_.take();
    settle();
    feeds_.set(batch, range, number);
    run_all();
  }

  void run(std::span<const data::Element> per_replica, const StepNumber& number) override {
    const auto entered = workers_.enter("a step");
    const DeviceTurn turn = devices_.take();
    settle();
    feeds_.set(per_replica, number);
    run_all();
  }

  CommunicationCost communication_cost() override {
    return {.waited = carriers_.front()->replicas->waited(),
            .bytes_sent = bytes_sent_,
            .collectives = collectives_};
  }

  size_t num_bytes() override { return num_bytes_.load(std::memory_order_relaxed); }

  GroupMemory memory() override { return carriers_.front()->replicas->memory(); }

  Tensor output(int replica, int i) override {
    const DeviceTurn turn = devices_.take();
    for (auto& carrier : carriers_) {
      const int behind = replica - carrier->first, local = behind / carrier->stride;
      if (behind >= 0 && behind % carrier->stride == 0 && local < carrier->replicas->num_replicas())
        return carrier->replicas->output(local, i);
    }
    throw OutOfRange("output: got replica {}; want 0 to {}", replica, feeds_.size() - 1);
  }

  Tensor gathered_output(int i) override {
    std::vector<Tensor> parts;
    for (size_t r = 0; r < feeds_.size(); ++r) parts.push_back(output(static_cast<int>(r), i));
    parts = workers_.all_gather("outputs", parts);
    int64_t rows = 0;
    for (const Tensor& part : parts) {
      if (part.rank() == 0)
        throw InvalidArgument("gather: got a scalar output; want rows to put one after the other");
      rows += part.size(0);
    }
    if (parts.size() == 1) return parts.front();
    Shape shape = parts.front().shape();
    shape[0] = Dim(rows);
    Tensor all(parts.front().dtype(), shape);
    char* to = static_cast<char*>(all.raw());
    for (const Tensor& part : parts) {
      if (part.num_bytes() > 0) std::memcpy(to, part.raw(), part.num_bytes());
      to += part.num_bytes();
    }
    return all;
  }

 private:
  /// A device with its replicas and, from the second on, its thread.
  struct Carrier {
    ReplicaRunner* runner = nullptr;
    std::unique_ptr<ReplicaDevice> replicas;
    Communicator* communicator = nullptr;  ///< null when this is the only device
    int first = 0, stride = 1;             ///< which of this process' replicas it carries
    std::unique_ptr<DeviceThread> thread;
    std::optional<Error> error;
    RecordingOutcome recording;
  };

  /// Makes what the devices run, which prepares its collectives.
  void join(const std::shared_ptr<GroupRanks>& group, const ReplicaPart& part) {
    group_ = group;
    int first = 0;
    for (size_t d = 0; d < part.devices.size(); ++d) {
      part.devices[d]->bind_thread();
      auto carrier = std::make_unique<Carrier>();
      carrier->runner = this;
      carrier->communicator = group_->of(d);
      carrier->replicas = std::make_unique<ReplicaDevice>(
          runtime_, trace_, *part.devices[d], carrier->communicator, part.blocks[d],
          part.num_replicas, part.turns, part.bucket_bytes, part.gradient_dtype);
      carrier->first = first;
      carrier->stride = part.dealt ? static_cast<int>(part.devices.size()) : 1;
      first += part.dealt ? 1 : part.blocks[d];
      if (d > 0) carrier->thread = std::make_unique<DeviceThread>(*part.devices[d]);
      carriers_.push_back(std::move(carrier));
    }
  }

  void count_bytes() {
    size_t bytes = cohort::num_bytes(*trace_.graph);
    for (const auto& carrier : carriers_) bytes += carrier->replicas->num_bytes();
    num_bytes_.store(bytes, std::memory_order_relaxed);
  }

  /// Before workers tell each other of their rows: one of them may already wait, to lay the groups
  /// out again, until all have what it has published.
  void settle() {
    if (workers_.count() == 1) return;
    for (const auto& group : trace_.groups) group->settle();
  }

  DeviceFeeds feeds_of(const Carrier& carrier) const {
    return {feeds_.all(), static_cast<size_t>(carrier.first), static_cast<size_t>(carrier.stride),
            static_cast<size_t>(carrier.replicas->num_replicas())};
  }

  void run_all() {
    workers_.enter_call();
    try {
      run_carriers();
    } catch (const Error& error) {
      const Error cause = workers_.explain(error);
      workers_.report_error(cause);
      throw Error(cause);
    }
  }

  void run_carriers() {
    bool compiled = false;
    for (auto& carrier : carriers_)
      compiled = carrier->replicas->prepare(feeds_of(*carrier)) || compiled;
    if (compiled) count_bytes();
    if (group_->empty()) {
      carriers_.front()->replicas->device().bind_thread();
      carriers_.front()->replicas->run(feeds_of(*carriers_.front()));
      return;
    }
    const bool replay = records_ && choose_recording();
    const uint64_t sent_before = group_->network_bytes();
    on_every_device(run_carrier);
    rethrow();
    bytes_sent_ += group_->network_bytes() - sent_before;
    if (records_) recording_.note_run(numbers_, replay);
    collectives_ += carriers_.front()->replicas->num_collectives();
  }

  /// `job` gets a Carrier, on its device's thread.
  void on_every_device(void (*job)(void* carrier)) {
    for (size_t c = 1; c < carriers_.size(); ++c)
      carriers_[c]->thread->start(job, carriers_[c].get());
    carriers_.front()->replicas->device().bind_thread();
    job(carriers_.front().get());
    for (size_t c = 1; c < carriers_.size(); ++c) carriers_[c]->thread->wait();
  }

  /// Whether ranks have collectives inside their executables, on devices that may record, and every
  /// process knows which executables all ranks use.
  bool can_record(const ReplicaPart& part) const {
    return !group_->empty() && part.turns == Turns::kNone &&
           part.devices.front()->type() != DeviceType::kCPU && feeds_.are_known_everywhere();
  }

  /// Whether this step runs as a recording, on every device of every process.
  bool choose_recording() {
    feeds_.numbers(numbers_);
    // Traces need the host between the kernels; they begin and end on all processes at one step.
    bool replay = !runtime_.recorder() && recording_.may_record(numbers_);
    const auto recorded = [this](const auto& carrier) {
      return carrier->replicas->is_recorded(feeds_of(*carrier));
    };
    if (replay && !std::all_of(carriers_.begin(), carriers_.end(), recorded)) replay = record();
    for (auto& carrier : carriers_) carrier->replicas->set_replay(feeds_of(*carrier), replay);
    return replay;
  }

  bool record() {
    on_every_device([](void* argument) {
      Carrier& carrier = *static_cast<Carrier*>(argument);
      carrier.recording = carrier.replicas->record(carrier.runner->feeds_of(carrier));
    });
    std::vector<RecordingOutcome> outcomes;
    for (auto& carrier : carriers_) outcomes.push_back(carrier->recording);
    if (recording_.all_recorded(outcomes)) return true;
    for (auto& carrier : carriers_) carrier->replicas->drop_recordings();
    return false;
  }

  static void run_carrier(void* argument) {
    Carrier& carrier = *static_cast<Carrier*>(argument);
    try {
      carrier.replicas->run(carrier.runner->feeds_of(carrier));
      return;
    } catch (const Error& error) {
      carrier.error = error;
    } catch (const std::exception& error) {
      carrier.error = Internal("step: {}", error.what());
    }
    if (carrier.communicator) carrier.communicator->abort(carrier.runner->failure_of(carrier));
  }

  /// What the other replicas are told.
  Error failure_of(const Carrier& carrier) const {
    if (workers_.count() > 1) return carrier.error->within(workers_.name());
    return Cancelled("replica {} failed: {}", carrier.first, carrier.error->what());
  }

  /// Throws the error that began it; replicas that were told to stop have Cancelled.
  void rethrow() {
    std::optional<Error> first;
    for (auto& carrier : carriers_) {
      if (!carrier->error) continue;
      if (!first || first->code() == Code::kCancelled) first = carrier->error;
      carrier->error.reset();
    }
    if (!first) return;
    recover();
    throw Error(*first);
  }

  /// Makes the group usable again, where it is this process' alone.
  void recover() {
    if (!group_->recover()) return;
    for (auto& carrier : carriers_) {
      try {
        carrier->replicas->device().synchronize();
      } catch (const Error&) {  // of the failed step: it would keep the next one from being taken
      }
    }
  }

  void drop_recordings() {
    recording_.forget();
    for (auto& carrier : carriers_) carrier->replicas->drop_recordings();
  }

  Runtime& runtime_;
  const Trace trace_;
  Workers& workers_;
  StepDevices devices_;
  std::shared_ptr<GroupRanks> group_;
  ReplicaFeeds feeds_;
  StepRecording recording_;
  bool records_ = false;
  std::vector<int64_t> numbers_;  ///< by which the current step's executables are chosen, of all
  uint64_t collectives_ = 0, bytes_sent_ = 0;
  std::atomic<size_t> num_bytes_ = 0;
  std::vector<std::unique_ptr<Carrier>> carriers_;
  std::shared_ptr<void> in_group_;  // last: goes before what it drops
};

}  // namespace

std::unique_ptr<StepRunner> make_replica_runner(Runtime& runtime, const Trace& trace,
                                                const ReplicaPart& part, StepGroup& group,
                                                int64_t batch_size, Workers& workers) {
  return std::make_unique<ReplicaRunner>(runtime, trace, part, group, batch_size, workers);
}

}  // namespace cohort::distribute
