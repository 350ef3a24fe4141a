#include "cohort/distribute/replica_device.h"

#include <algorithm>

#include "cohort/core/runtime/runtime.h"

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
                             Turns turns, size_t bucket_bytes, DType gradient_dtype)
    : num_replicas_(num_replicas),
      symbols_(symbols(*trace.graph)),
      solo_(solo_communicator(communicator, device, num_replicas)),
      program_(runtime, trace,
               {.device = &device,
                .communicator = solo_ ? solo_.get() : communicator,
                .local_replicas = num_replicas,
                .num_replicas = all_replicas,
                .turns = turns,
                .bucket_bytes = bucket_bytes,
                .gradient_dtype = gradient_dtype}),
      ran_(static_cast<size_t>(num_replicas), nullptr) {
  prepared_.reserve(kLargestMemo);
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

bool ReplicaDevice::prepare(const DeviceFeeds& feeds) {
  const auto known = [&](const ReplicaFeed& feed) {
    return std::any_of(prepared_.begin(), prepared_.end(),
                       [&](const Prepared& p) { return p.symbols == feed.symbols; });
  };
  size_t num_known = 0;
  while (num_known < feeds.size() && known(feeds[num_known])) ++num_known;
  if (num_known == feeds.size()) return false;
  // The program may drop executables when it makes new ones: ask it again for every one.
  prepared_.clear();
  for (size_t r = 0; r < feeds.size(); ++r) {
    const ReplicaFeed& feed = feeds[r];
    if (known(feed)) continue;
    SymbolBindings bindings;
    for (size_t i = 0; i < symbols_.size(); ++i) bindings[symbols_[i]] = feed.symbols[i];
    Executable& executable = program_.whole(bindings);
    prepared_.push_back({feed.symbols, &executable});
    check_alternate(executable);
  }
  return true;
}

/// Every replica comes to the same collectives in the same segment, whatever its rows.
void ReplicaDevice::check_alternate(const Executable& executable) {
  const Executable& first = *prepared_.front().executable;
  if (executable.segments_of_collectives() != first.segments_of_collectives())
    throw Internal("{}: got replicas of unequal rows with unequal schedules; want one for all",
                   device().name().to_string());
}

void ReplicaDevice::run(const DeviceFeeds& feeds) {
  for (size_t r = 0; r < feeds.size(); ++r) ran_[r] = &executable_for(feeds[r]);
  const size_t num_segments = ran_.front()->num_segments();
  for (size_t segment = 0; segment < num_segments; ++segment) {
    for (size_t r = 0; r < feeds.size(); ++r) {
      if (ReplicaTurns* turns = program_.turns()) turns->begin(static_cast<int>(r));
      const ReplicaFeed& feed = feeds[r];
      for (size_t i = 0; i < feed.inputs.size(); ++i)
        ran_[r]->set_input(static_cast<int>(i), feed.inputs[i]);
      ran_[r]->step() = feed.step;
      ran_[r]->run_segment(segment);
    }
  }
}

RecordingOutcome ReplicaDevice::record(const DeviceFeeds& feeds) {
  return executable_for(feeds.front()).record();
}

bool ReplicaDevice::is_recorded(const DeviceFeeds& feeds) {
  return executable_for(feeds.front()).is_recorded();
}

void ReplicaDevice::set_replay(const DeviceFeeds& feeds, bool replay) {
  executable_for(feeds.front()).set_replay(replay);
}

Tensor ReplicaDevice::output(int replica, int i) {
  ReplicaTurns* turns = program_.turns();
  if (!turns) return ran_.front()->output(i);
  turns->begin(replica);
  const bool of_each = turns->fetches_of_each()[static_cast<size_t>(i)];
  return (of_each ? ran_[static_cast<size_t>(replica)] : ran_.back())->output(i);
}

}  // namespace cohort::distribute
