#include "cohort/core/runtime/executable.h"

#include <algorithm>
#include <optional>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/device_for.h"
#include "cohort/core/runtime/lane.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/replica_turns.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/transfer.h"

namespace cohort {
namespace {

using EntryKind = ScheduleEntry::Kind;

bool has_collectives(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const auto& node) { return is_collective(*node); });
}

class GraphExecutable final : public Executable {
 public:
  GraphExecutable(Runtime& runtime, GraphFunction function, const CompileOptions& options)
      : runtime_(runtime),
        function_(std::move(function)),
        options_(options),
        turns_(options.turns),
        records_itself_(!turns_ && !has_collectives(*function_.graph)) {
    const DeviceOf device_of = [this](const Node& node) { return device_for(node); };
    std::vector<bool> every_turn;
    if (turns_)
      every_turn =
          nodes_of_every_turn(*function_.graph, function_.fetches, turns_->fetches_of_each());
    for (Schedule& schedule : make_schedules(*function_.graph, device_of, every_turn,
                                             turns_ && turns_->exchanges_each()))
      lanes_.push_back(std::make_unique<Lane>(std::move(schedule)));
    std::stable_partition(lanes_.begin(), lanes_.end(), [&](const auto& lane) {
      return lane->schedule.device == options_.device;
    });
    for (auto& lane : lanes_) make_store(*lane);
    for (auto& lane : lanes_) make_kernels(*lane);
    note_collectives();
    for (size_t i = 1; i < lanes_.size(); ++i)
      lanes_[i]->thread = std::make_unique<DeviceThread>(*lanes_[i]->schedule.device);
    inputs_.assign(function_.graph->placeholders().size(), nullptr);
    collect_input_slots();
  }

  void set_input(int i, const void* data) override {
    inputs_[static_cast<size_t>(i)] = data;
    for (void** slot : cpu_slots_[static_cast<size_t>(i)]) *slot = const_cast<void*>(data);
  }
  StepState& step() override { return step_; }
  const Graph& graph() const override { return *function_.graph; }
  size_t arena_bytes() const override {
    size_t bytes = 0;
    for (const auto& lane : lanes_) bytes += lane->values->arena_bytes();
    return bytes;
  }

  size_t replica_bytes() const override {
    size_t bytes = 0;
    for (const auto& lane : lanes_) bytes += lane->values->replica_bytes();
    return bytes;
  }

  size_t num_bytes() const override {
    size_t bytes = cohort::num_bytes(*function_.graph);
    for (const auto& lane : lanes_) bytes += lane->values->owned_bytes();
    return bytes;
  }

  size_t num_segments() const override {
    return lanes_.empty() ? 1 : lanes_.front()->segments.size();
  }
  const std::vector<size_t>& segments_of_collectives() const override { return collectives_; }

  void run_segment(size_t segment) override {
    segment_ = segment;
    recorder_ = options_.recorder ? options_.recorder : runtime_.recorder();
    state_.run.fetch_add(1, std::memory_order_relaxed);
    state_.failed.store(false, std::memory_order_relaxed);
    state_.ready_to_vote.store(0, std::memory_order_relaxed);
    state_.ready_to_commit.store(0, std::memory_order_relaxed);
    for (size_t i = 1; i < lanes_.size(); ++i) {
      jobs_[i] = {this, lanes_[i].get()};
      lanes_[i]->thread->start(
          [](void* job) {
            static_cast<Job*>(job)->executable->run_guarded(*static_cast<Job*>(job)->lane);
          },
          &jobs_[i]);
    }
    if (lanes_.size() == 1) {
      run_lane(*lanes_.front());
      return;
    }
    if (!lanes_.empty()) run_guarded(*lanes_.front());
    for (size_t i = 1; i < lanes_.size(); ++i) lanes_[i]->thread->wait();
    rethrow();
  }

  RecordingOutcome record() override {
    if (lanes_.size() != 1) return {.reason = "it runs on several devices"};
    Lane& lane = *lanes_.front();
    if (!lane.device_step) return {};
    return lane.recorded.record(*lane.schedule.device, lane.steps);
  }
  bool is_recorded() const override {
    return lanes_.size() == 1 && lanes_.front()->recorded.is_current();
  }
  void set_replay(bool replay) override { replays_ = replay; }
  void drop_recording() override {
    replays_ = false;
    for (auto& lane : lanes_) lane->drop_recordings();
  }

  const TensorType& output_type(int i) const override { return fetch(i).type(); }
  Tensor output(int i) override {
    Tensor tensor(fetch(i).dtype(), fetch(i).shape());
    copy_output(i, tensor.raw());
    return tensor;
  }
  void copy_output(int i, void* to) override {
    Lane& lane = lane_of(fetch(i));
    if (turns_) lane.values->choose(replica_of(i));
    const Operand operand = lane.values->operand(fetch(i));
    lane.schedule.device->copy_to_host(to, *operand.slot, operand.num_bytes());
  }

 private:
  struct Job {
    GraphExecutable* executable;
    Lane* lane;
  };

  Value fetch(int i) const { return function_.fetches[static_cast<size_t>(i)]; }

  /// Whose value fetch i is.
  int replica_of(int i) const {
    return turns_->fetches_of_each()[static_cast<size_t>(i)] ? turns_->replica()
                                                             : turns_->count() - 1;
  }

  Device* device_for(const Node& node) const {
    return &cohort::device_for(runtime_, node.device(), *options_.device);
  }

  Lane& lane_of(Value value) {
    Device* device = device_for(*root_of(value).node());
    for (auto& lane : lanes_)
      if (lane->schedule.device == device) return *lane;
    throw Internal("executable: got no lane for {}", value.node()->name());
  }

  void make_store(Lane& lane) {
    Device& device = *lane.schedule.device;
    runtime_.note_use(device.type());
    if (device.type() == DeviceType::kCPU) {
      lane.step = &step_;
    } else {
      lane.device_step = device.allocate(sizeof(StepState));
      lane.step = static_cast<const StepState*>(lane.device_step.get());
    }
    lane.values = std::make_unique<ValueStore>(runtime_, *function_.graph, lane.schedule,
                                               function_.fetches, options_.collectives, turns_);
  }

  void make_kernels(Lane& lane) {
    const Schedule& schedule = lane.schedule;
    std::vector<Kernel*> by_position;
    for (size_t position = 0; position <= schedule.entries.size(); ++position) {
      const auto cuts = std::count(schedule.cuts.begin(), schedule.cuts.end(), position);
      lane.segments.insert(lane.segments.end(), static_cast<size_t>(cuts), lane.steps.size());
      if (position == schedule.commit_begin) lane.commit_begin = lane.steps.size();
      if (position == schedule.entries.size()) break;
      std::unique_ptr<Kernel> kernel = make_kernel(lane, position);
      by_position.push_back(kernel.get());
      if (kernel) lane.add(schedule.entries[position], std::move(kernel));
    }
    lane.values->place(by_position);
    lane.note_variables(*function_.graph);
    for (const VariablePlace* place : lane.places) lane.recorded.add(*place);
    if (turns_ && lane.device_step && lanes_.size() == 1) lane.cut_into_pieces(turns_->count());
  }

  void note_collectives() {
    if (!options_.collectives) return;
    collectives_.assign(options_.collectives->buckets.size(), 0);
    for (const auto& lane : lanes_)
      for (size_t i = 0; i < lane->steps.size(); ++i)
        if (lane->kinds[i] == EntryKind::kWait && !is_publication(*lane->nodes[i]))
          collectives_[number_of(*lane->nodes[i], "bucket")] = static_cast<size_t>(
              std::upper_bound(lane->segments.begin(), lane->segments.end(), i) -
              lane->segments.begin());
  }

  std::unique_ptr<Kernel> make_kernel(Lane& lane, size_t position) {
    const ScheduleEntry& entry = lane.schedule.entries[position];
    switch (entry.kind) {
      case EntryKind::kStart:
        if (turns_ && !is_publication(*entry.node))
          return std::make_unique<TurnStartKernel>(*turns_, number_of(*entry.node, "bucket"),
                                                   request_of(*entry.node));
        if (is_publication(*entry.node) && lane.settles_later())
          return std::make_unique<PublishKernel>(placed_of(*entry.node));
        return std::make_unique<StartKernel>(request_of(*entry.node));
      case EntryKind::kWait:
        if (is_publication(*entry.node)) lane.note_written(*entry.node);
        if (is_publication(*entry.node) && lane.settles_later()) return nullptr;
        if (!is_publication(*entry.node) && turns_ && turns_->exchanges_each())
          return std::make_unique<TurnWaitKernel>(*turns_, number_of(*entry.node, "bucket"),
                                                  request_of(*entry.node));
        if (!is_publication(*entry.node) && bucket_of(*entry.node).ring)
          return make_wait_and_take(runtime_, *lane.schedule.device, bucket_of(*entry.node),
                                    &lane.step);
        return std::make_unique<WaitKernel>(request_of(*entry.node));
      case EntryKind::kSend:
        return std::make_unique<SendKernel>(channel_of(entry.value), state_);
      case EntryKind::kReceive:
        return std::make_unique<ReceiveKernel>(channel_of(entry.value), state_,
                                               lane.values->operand(entry.value),
                                               *lane.schedule.device);
      case EntryKind::kMeet:
        return std::make_unique<MeetKernel>(state_, *lane.schedule.device, entry.num_lanes);
      case EntryKind::kCompute:
        break;
    }
    const Node& node = *entry.node;
    if (!node.op().has_kernel()) return nullptr;
    const auto inputs = lane.values->operands(node.inputs());
    const auto outputs = lane.values->outputs(node);
    const auto variables = lane.values->variables(node);
    if (node.stage() == Stage::kCommit) lane.note_written(node);
    return runtime_.kernels().make({.node = node,
                                    .inputs = inputs,
                                    .outputs = outputs,
                                    .variables = variables,
                                    .workspace = lane.values->workspace_slot(position),
                                    .step = &lane.step,
                                    .device = *lane.schedule.device});
  }

  static size_t number_of(const Node& collective, const char* attr) {
    return static_cast<size_t>(collective.attrs().get<int64_t>(attr));
  }

  const PlacedGroup& placed_of(const Node& node) const {
    COHORT_CHECK(options_.collectives != nullptr);
    return options_.collectives->groups[number_of(node, "group")];
  }

  const Bucket& bucket_of(const Node& node) const {
    COHORT_CHECK(options_.collectives != nullptr);
    return options_.collectives->buckets[number_of(node, "bucket")];
  }

  Communicator::Request& request_of(const Node& node) {
    return is_publication(node) ? *placed_of(node).publish : *bucket_of(node).request;
  }

  Channel& channel_of(Value value) {
    auto& channel = channels_[{value.node(), value.index()}];
    if (!channel) {
      channel = std::make_unique<Channel>();
      Lane& lane = lane_of(value);
      channel->source = lane.values->operand(value);
      channel->source_device = lane.schedule.device;
    }
    return *channel;
  }

  void collect_input_slots() {
    cpu_slots_.resize(inputs_.size());
    for (size_t i = 0; i < inputs_.size(); ++i) {
      for (auto& lane : lanes_) {
        void** slot = lane->values->input_slot(static_cast<int>(i));
        if (!slot) continue;
        const TensorType& type = function_.graph->placeholders()[i]->output_types()[0];
        const size_t bytes = static_cast<size_t>(type.shape.num_elements()) * size_of(type.dtype);
        if (lane->device_step) {
          lane->uploads.push_back({i, *slot, bytes});
        } else {
          cpu_slots_[i].push_back(slot);
        }
      }
    }
    jobs_.resize(lanes_.size());
  }

  void upload(Lane& lane) {
    if (!lane.device_step) return;
    Device& device = *lane.schedule.device;
    device.copy_from_host(lane.device_step.get(), &step_, sizeof(StepState));
    for (const Lane::Upload& upload : lane.uploads)
      device.copy_from_host(upload.to, inputs_[upload.input], upload.bytes);
  }

  void run_lane(Lane& lane) {
    upload(lane);
    if (replay(lane)) {
      for (uint64_t* version : lane.written) ++*version;
      return;
    }
    const int replica = turns_ ? turns_->replica() : 0;
    const bool last = !turns_ || turns_->is_last();
    if (turns_) lane.values->choose(replica);
    if (segment_ == 0) lane.settle();
    lane.run(segment_, replica, last, recorder_);
    if (!last || segment_ + 1 < num_segments()) return;
    // No device commits before every device has computed what could fail.
    if (lanes_.size() > 1)
      state_.wait_for_all(*lane.schedule.device, state_.ready_to_commit,
                          static_cast<int>(lanes_.size()));
    lane.commit(replica, recorder_);
    lane.recorded.note_first_run();
  }

  bool replay(Lane& lane) {
    if (!lane.device_step || turns_ || lanes_.size() > 1)
      return false;  // transfers need the host in between
    if (!records_itself_) {
      if (replays_) lane.recorded.replay();
      return replays_;
    }
    return !recorder_ && lane.recorded.replay(*lane.schedule.device, lane.steps);
  }

  void run_guarded(Lane& lane) {
    lane.error.reset();
    try {
      run_lane(lane);
      return;
    } catch (const Error& error) {
      lane.error = error;
    } catch (const std::exception& error) {
      lane.error = Internal("executable: {}", error.what());
    }
    state_.failed.store(true);
  }

  /// The error that started it, rather than those of devices that were told to stop.
  void rethrow() {
    const Error* first = nullptr;
    for (const auto& lane : lanes_)
      if (lane->error && (!first || first->code() == Code::kCancelled)) first = &*lane->error;
    if (first) throw Error(*first);
  }

  Runtime& runtime_;
  GraphFunction function_;
  CompileOptions options_;
  ReplicaTurns* const turns_;
  const bool records_itself_;
  bool replays_ = false;
  TraceRecorder* recorder_ = nullptr;  ///< of the run under way, as the next
  size_t segment_ = 0;
  std::vector<size_t> collectives_;  ///< see segments_of_collectives()
  StepState step_;
  RunState state_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Job> jobs_;
  std::map<std::pair<const Node*, int>, std::unique_ptr<Channel>> channels_;
  std::vector<const void*> inputs_;
  std::vector<std::vector<void**>> cpu_slots_;
};

}  // namespace

size_t num_bytes(const Graph& graph) {
  constexpr size_t kBytesOfNode = 1024;  // with its kernel, where it has one; measured
  return graph.nodes().size() * kBytesOfNode;
}

std::unique_ptr<Executable> compile(Runtime& runtime, const Graph& graph,
                                    std::span<const Value> fetches, const SymbolBindings& bindings,
                                    const CompileOptions& options) {
  CompileOptions resolved = options;
  if (!resolved.device) resolved.device = &runtime.default_device();
  GraphFunction function = bind(graph, fetches, bindings);
  if (!resolved.collectives) function = drop_reductions(*function.graph, function.fetches);
  if (options.has_pass("fold")) function = fold_constants(runtime, function);
  if (options.has_pass("cse")) function = merge_common_subexpressions(function);
  if (options.has_pass("fuse")) {
    function = fuse(function);
    function = fuse_elementwise(runtime, *resolved.device, function);
  }
  function = insert_copies(function);
  if (resolved.turns)
    function = give_in_one_turn(std::move(function), resolved.turns->fetches_of_each());
  return std::make_unique<GraphExecutable>(runtime, std::move(function), resolved);
}

}  // namespace cohort
