#include "cohort/distribute/replica_device.h"

#include <algorithm>

#include "cohort/core/runtime/runtime.h"
#include "cohort/core/trace/recorder.h"

namespace cohort::distribute {
namespace {

constexpr size_t kLargestMemo = 8;

/// A group of one rank: gives replicas that take turns on the only device their buckets.
class SoloCommunicator final : public Communicator {
 public:
  explicit SoloCommunicator(Device& device) : device_(device) {}

  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override { return device_.allocate(bytes); }
  void abort(const Error&) override {}

 private:
  class Nothing final : public Request {
    void do_start() override {}
    void do_wait() override {}
  };
  class CopyToOutput final : public Request {
   public:
    CopyToOutput(Device& device, const CollectiveSpec& spec)
        : device_(device),
          input_(spec.buffer),
          bytes_(static_cast<size_t>(spec.count) * size_of(spec.dtype)),
          output_(spec.output) {}

   private:
    void do_start() override { device_.copy_from_device(*output_, device_, *input_, bytes_); }
    void do_wait() override {}

    Device& device_;
    void* const* input_;
    const size_t bytes_;
    void* const* output_;
  };

  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    if (spec.kind != CollectiveKind::kAllGather) return std::make_unique<Nothing>();
    return std::make_unique<CopyToOutput>(device_, spec);
  }
  std::unique_ptr<Communicator> do_split(std::string_view, int) override {
    return std::make_unique<SoloCommunicator>(device_);
  }

  Device& device_;
};

std::unique_ptr<Communicator> solo_communicator(Communicator* communicator, Device& device,
                                                int num_replicas) {
  if (communicator || num_replicas == 1) return nullptr;
  return std::make_unique<SoloCommunicator>(device);
}

}  // namespace

ReplicaDevice::ReplicaDevice(Runtime& runtime, const Trace& trace, Device& device,
                             Communicator* communicator, int num_replicas, int all_replicas,
                             bool in_turn, size_t bucket_bytes, DType gradient_dtype)
    : runtime_(runtime),
      num_replicas_(num_replicas),
      in_turn_(in_turn),
      symbols_(symbols(*trace.graph)),
      solo_(solo_communicator(communicator, device, num_replicas)),
      program_(runtime, trace,
               {.device = &device,
                .communicator = solo_ ? solo_.get() : communicator,
                .local_replicas = num_replicas,
                .num_replicas = all_replicas,
                .bucket_bytes = bucket_bytes,
                .gradient_dtype = gradient_dtype}) {
  prepared_.reserve(kLargestMemo);
  if (num_replicas_ > 1)
    sum_ = std::make_unique<BlockSum>(runtime, device, program_.collectives(), num_replicas_);
  outputs_.resize(static_cast<size_t>(num_replicas_));
}

std::vector<std::string> ReplicaDevice::symbols(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node* placeholder : graph.placeholders())
    for (const Dim& dim : placeholder->output_types()[0].shape.dims())
      if (dim.is_symbol() && std::find(names.begin(), names.end(), dim.symbol()) == names.end())
        names.push_back(dim.symbol());
  return names;
}

Executable& ReplicaDevice::executable_for(const ReplicaFeed& feed) {
  for (const Prepared& known : prepared_)
    if (known.symbols == feed.symbols) return *known.executable;
  throw Internal("replica device: got a feed that was not prepared");
}

bool ReplicaDevice::prepare(std::span<const ReplicaFeed> feeds) {
  const auto known = [&](const ReplicaFeed& feed) {
    return std::any_of(prepared_.begin(), prepared_.end(),
                       [&](const Prepared& p) { return p.symbols == feed.symbols; });
  };
  if (std::all_of(feeds.begin(), feeds.end(), known)) return false;
  // The program may drop executables when it makes new ones: ask it again for every one.
  prepared_.clear();
  for (const ReplicaFeed& feed : feeds) {
    if (known(feed)) continue;
    SymbolBindings bindings;
    for (size_t i = 0; i < symbols_.size(); ++i) bindings[symbols_[i]] = feed.symbols[i];
    Executable& executable = in_turn_ ? program_.local(bindings) : program_.whole(bindings);
    prepared_.push_back({feed.symbols, &executable});
  }
  if (in_turn_ && !combine_) combine_ = &program_.combine();
  return true;
}

void ReplicaDevice::feed_and_run(Executable& executable, const ReplicaFeed& feed) {
  for (size_t i = 0; i < feed.inputs.size(); ++i)
    executable.set_input(static_cast<int>(i), feed.inputs[i]);
  executable.step() = feed.step;
  executable.run();
}

void ReplicaDevice::run(std::span<const ReplicaFeed> feeds) {
  if (!in_turn_) {
    last_ = &executable_for(feeds.front());
    feed_and_run(*last_, feeds.front());
  } else {
    run_in_turn(feeds);
  }
}

RecordingOutcome ReplicaDevice::record(std::span<const ReplicaFeed> feeds) {
  return executable_for(feeds.front()).record();
}

bool ReplicaDevice::is_recorded(std::span<const ReplicaFeed> feeds) {
  return executable_for(feeds.front()).is_recorded();
}

void ReplicaDevice::set_replay(std::span<const ReplicaFeed> feeds, bool replay) {
  executable_for(feeds.front()).set_replay(replay);
}

void ReplicaDevice::run_in_turn(std::span<const ReplicaFeed> feeds) {
  if (sum_) sum_->begin();
  for (size_t r = 0; r < feeds.size(); ++r) {
    Executable& executable = executable_for(feeds[r]);
    feed_and_run(executable, feeds[r]);
    keep_outputs(executable, static_cast<int>(r));
    program_.collectives().keep(device(), static_cast<int>(r));
    if (sum_) sum_->add();
  }
  if (sum_) sum_->finish();
  reduce();
  combine_->step() = feeds.front().step;
  combine_->run();
}

void ReplicaDevice::reduce() {
  std::vector<Bucket>& buckets = program_.collectives().buckets;
  TraceRecorder* recorder = runtime_.recorder();
  const auto event = [&](size_t bucket, TraceEvent::Kind kind) -> TraceEvent {
    return {.track = device().name().to_string(),
            .name = "AllReduce",
            .op = "AllReduce",
            .kind = kind,
            .bucket = static_cast<int64_t>(bucket)};
  };
  for (size_t b = 0; b < buckets.size(); ++b) {
    std::optional<TraceRecorder::Span> span;
    if (recorder) span.emplace(*recorder, event(b, TraceEvent::Kind::kStart));
    buckets[b].request->start();
  }
  for (size_t b = 0; b < buckets.size(); ++b) {
    std::optional<TraceRecorder::Span> span;
    if (recorder) span.emplace(*recorder, event(b, TraceEvent::Kind::kWait));
    buckets[b].request->wait();
  }
}

void ReplicaDevice::keep_outputs(Executable& executable, int replica) {
  std::vector<Tensor>& kept = outputs_[static_cast<size_t>(replica)];
  const auto& parts = program_.fetch_parts();
  kept.resize(parts.size());
  for (size_t i = 0; i < parts.size(); ++i)
    if (!parts[i].combined) kept[i] = executable.output(parts[i].index);
}

Tensor ReplicaDevice::output(int replica, int i) {
  if (!in_turn_) return last_->output(i);
  const StepParts::Fetch& part = program_.fetch_parts()[static_cast<size_t>(i)];
  return part.combined ? combine_->output(part.index)
                       : outputs_[static_cast<size_t>(replica)][static_cast<size_t>(i)];
}

}  // namespace cohort::distribute
