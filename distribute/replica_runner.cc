#include "cohort/distribute/replica_runner.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <optional>

#include "cohort/core/runtime/device_thread.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/step_devices.h"
#include "cohort/data/batch_sizes.h"
#include "cohort/distribute/in_process_communicator.h"
#include "cohort/distribute/process_group.h"
#include "cohort/distribute/replica_check.h"
#include "cohort/distribute/replica_device.h"

namespace cohort::distribute {
namespace {

/// Rows of each of sizes.size() replicas in a batch of `rows`.
void split_rows(int64_t rows, int64_t batch_size, std::vector<int64_t>& sizes) {
  const auto n = static_cast<int64_t>(sizes.size());
  for (int64_t r = 0; r < n; ++r) {
    const data::RowSpan span =
        data::rows_of_replicas(rows, batch_size, {.num_replicas = n, .first = r, .count = 1});
    sizes[static_cast<size_t>(r)] = span.end - span.begin;
  }
}

constexpr int64_t kUnset = -1;

class ReplicaRunner final : public StepRunner {
 public:
  ReplicaRunner(Runtime& runtime, const Trace& trace, const ReplicaPart& part,
                std::vector<std::unique_ptr<Communicator>> communicators, int64_t batch_size,
                Workers& workers)
      : trace_(trace),
        batch_size_(batch_size),
        first_replica_(static_cast<size_t>(part.first_replica)),
        workers_(workers),
        devices_(part.job),
        symbols_(ReplicaDevice::symbols(*trace.graph)),
        communicators_(std::move(communicators)),
        feeds_(static_cast<size_t>(std::accumulate(part.blocks.begin(), part.blocks.end(), 0))),
        rows_(static_cast<size_t>(part.num_replicas)) {
    if (part.num_replicas > 1) check_replicas_stay_equal(trace, part.in_turn);
    check_devices_stay_apart(trace, part.devices);
    for (const auto& communicator : communicators_)
      watches_.push_back(workers_.watch(*communicator));
    for (Device* device : part.devices) devices_.add(runtime, *trace.graph, *device);
    const DeviceTurn turn = devices_.take();
    int first = 0;
    for (size_t d = 0; d < part.devices.size(); ++d) {
      Communicator* communicator = communicators_.empty() ? nullptr : communicators_[d].get();
      part.devices[d]->bind_thread();
      auto carrier = std::make_unique<Carrier>();
      carrier->runner = this;
      carrier->communicator = communicator;
      carrier->replicas = std::make_unique<ReplicaDevice>(
          runtime, trace, *part.devices[d], communicator, part.blocks[d], part.num_replicas,
          part.in_turn, part.bucket_bytes);
      carrier->first = first;
      first += part.blocks[d];
      if (d > 0) carrier->thread = std::make_unique<DeviceThread>(*part.devices[d]);
      carriers_.push_back(std::move(carrier));
    }
    carriers_.front()->replicas->device().bind_thread();
    count_bytes();
    for (ReplicaFeed& feed : feeds_) {
      feed.inputs.resize(trace.graph->placeholders().size());
      feed.symbols.resize(symbols_.size());
    }
  }

  DeviceTurn take_turn() override { return devices_.take(); }

  void run(const data::Element& batch, const StepNumber& number) override {
    run(batch, {.offset = 0, .global_rows = rows_in(batch)}, number);
  }

  void run(const data::Element& batch, const data::RowRange& range,
           const StepNumber& number) override {
    const auto entered = workers_.enter("a step");
    const DeviceTurn turn = devices_.take();
    check_count(batch.size());
    forget_symbols();
    const int64_t here = rows_in(batch);
    for (const Tensor& component : batch)
      if (component.rank() > 0 && component.size(0) != here)
        throw InvalidArgument("step: got components of {} and {} rows; want equal numbers", here,
                              component.size(0));
    split_rows(range.global_rows, batch_size_, rows_);
    int64_t offset = rows_before();
    for (size_t r = 0; r < feeds_.size(); ++r) {
      const int64_t begin = offset - range.offset;
      if (begin < 0 || begin + rows_of(r) > here)
        throw InvalidArgument("step: got rows {} to {} of a batch; want rows {} to {} among them",
                              range.offset, range.offset + here, offset, offset + rows_of(r));
      for (size_t i = 0; i < batch.size(); ++i) feed_rows(r, i, batch[i], begin, rows_of(r));
      set_step(r, number, offset, range.global_rows);
      offset += rows_of(r);
    }
    run_all();
  }

  void run(std::span<const data::Element> per_replica, const StepNumber& number) override {
    const auto entered = workers_.enter("a step");
    const DeviceTurn turn = devices_.take();
    if (per_replica.size() != feeds_.size())
      throw InvalidArgument("step: got values for {} replicas; want {}", per_replica.size(),
                            feeds_.size());
    forget_symbols();
    for (size_t r = 0; r < feeds_.size(); ++r) {
      const data::Element& element = per_replica[r];
      check_count(element.size());
      rows_of(r) = rows_in(element);
    }
    const int64_t total = count_rows();
    int64_t offset = rows_before();
    for (size_t r = 0; r < feeds_.size(); ++r) {
      const data::Element& element = per_replica[r];
      for (size_t i = 0; i < element.size(); ++i)
        feed_rows(r, i, element[i], 0, element[i].rank() == 0 ? 0 : element[i].size(0));
      set_step(r, number, offset, total);
      offset += rows_of(r);
    }
    run_all();
  }

  CommunicationCost communication_cost() override {
    CommunicationCost cost{.waited = carriers_.front()->replicas->waited(),
                           .bytes_sent = 0,
                           .collectives = collectives_};
    if (!communicators_.empty())  // the traffic of the whole process, on each of them
      cost.bytes_sent = network_traffic(*communicators_.front()).payload_bytes;
    return cost;
  }

  size_t num_bytes() override { return num_bytes_.load(std::memory_order_relaxed); }

  Tensor output(int replica, int i) override {
    const DeviceTurn turn = devices_.take();
    for (auto& carrier : carriers_) {
      const int local = replica - carrier->first;
      if (local >= 0 && local < carrier->replicas->num_replicas())
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
    int first = 0;                         ///< of this process' replicas
    std::unique_ptr<DeviceThread> thread;
    std::optional<Error> error;
  };

  static int64_t rows_in(const data::Element& batch) {
    return batch.empty() || batch.front().rank() == 0 ? 0 : batch.front().size(0);
  }

  int64_t& rows_of(size_t r) { return rows_[first_replica_ + r]; }

  /// Rows of the batch that replicas of earlier processes have.
  int64_t rows_before() const {
    return std::accumulate(rows_.begin(), rows_.begin() + static_cast<int64_t>(first_replica_),
                           int64_t{0});
  }

  /// Fills in the rows of other processes' replicas; returns those of all.
  int64_t count_rows() {
    if (workers_.count() > 1) {
      std::vector<Tensor> counts;
      for (size_t r = 0; r < feeds_.size(); ++r) counts.push_back(Tensor::scalar(rows_of(r)));
      counts = workers_.all_gather("rows", counts);
      for (size_t r = 0; r < rows_.size(); ++r) rows_[r] = counts[r].item<int64_t>();
    }
    return std::accumulate(rows_.begin(), rows_.end(), int64_t{0});
  }

  void check_count(size_t got) const {
    const size_t want = trace_.graph->placeholders().size();
    if (got != want) throw InvalidArgument("step: got {} components; want {}", got, want);
  }

  /// Points input i of replica r at `rows` rows of `component` from `offset` on, and notes what its
  /// symbols are.
  void feed_rows(size_t r, size_t i, const Tensor& component, int64_t offset, int64_t rows) {
    const TensorType& want = trace_.graph->placeholders()[i]->output_types()[0];
    const bool by_rows = want.shape.rank() > 0 && want.shape[0].is_symbol();
    bool fits = component.defined() && component.dtype() == want.dtype &&
                component.rank() == want.shape.rank() && component.is_contiguous();
    int64_t row_bytes = static_cast<int64_t>(size_of(want.dtype));
    for (int axis = 0; fits && axis < want.shape.rank(); ++axis) {
      const int64_t size = axis == 0 && by_rows ? rows : component.size(axis);
      if (axis > 0) row_bytes *= size;
      if (want.shape[axis].is_symbol()) {
        set_symbol(r, want.shape[axis].symbol(), size, trace_.graph->placeholders()[i]->name());
      } else {
        fits = want.shape[axis] == size;
      }
    }
    if (!fits)
      throw InvalidArgument("{}: got {} {}; want contiguous {} {}",
                            trace_.graph->placeholders()[i]->name(), component.dtype(),
                            component.shape(), want.dtype, want.shape);
    feeds_[r].inputs[i] =
        static_cast<const char*>(component.raw()) + (by_rows ? offset * row_bytes : 0);
  }

  void set_symbol(size_t r, const std::string& symbol, int64_t number, const std::string& input) {
    for (size_t s = 0; s < symbols_.size(); ++s) {
      if (symbols_[s] != symbol) continue;
      int64_t& known = feeds_[r].symbols[s];
      if (known != kUnset && known != number)
        throw InvalidArgument("{}: got {} for dimension {}; want {} as in the inputs before", input,
                              number, symbol, known);
      known = number;
    }
  }

  void forget_symbols() {
    for (ReplicaFeed& feed : feeds_) std::fill(feed.symbols.begin(), feed.symbols.end(), kUnset);
  }

  void set_step(size_t r, const StepNumber& number, int64_t offset, int64_t global_rows) {
    feeds_[r].step = {.seed = number.seed,
                      .step = number.step,
                      .micro_step = number.micro_step,
                      .replica_id = static_cast<int64_t>(first_replica_ + r),
                      .num_replicas = static_cast<int64_t>(rows_.size()),
                      .rows = rows_of(r),
                      .row_offset = offset,
                      .global_rows = global_rows};
  }

  void count_bytes() {
    size_t bytes = cohort::num_bytes(*trace_.graph);
    for (const auto& carrier : carriers_) bytes += carrier->replicas->num_bytes();
    num_bytes_.store(bytes, std::memory_order_relaxed);
  }

  std::span<const ReplicaFeed> feeds_of(const Carrier& carrier) const {
    return std::span(feeds_).subspan(static_cast<size_t>(carrier.first),
                                     static_cast<size_t>(carrier.replicas->num_replicas()));
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
    if (communicators_.empty()) {
      carriers_.front()->replicas->device().bind_thread();
      carriers_.front()->replicas->run(feeds_of(*carriers_.front()));
      return;
    }
    for (size_t c = 1; c < carriers_.size(); ++c)
      carriers_[c]->thread->start(
          [](void* carrier) { run_carrier(*static_cast<Carrier*>(carrier)); }, carriers_[c].get());
    carriers_.front()->replicas->device().bind_thread();
    run_carrier(*carriers_.front());
    for (size_t c = 1; c < carriers_.size(); ++c) carriers_[c]->thread->wait();
    rethrow();
    collectives_ += carriers_.front()->replicas->num_collectives();
  }

  static void run_carrier(Carrier& carrier) {
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
    if (workers_.count() == 1) reset_in_process(*communicators_.front());
    throw Error(*first);
  }

  const Trace trace_;
  const int64_t batch_size_;
  const size_t first_replica_;  ///< feeds_[0] is this one of all replicas
  Workers& workers_;
  StepDevices devices_;
  const std::vector<std::string> symbols_;
  std::vector<std::unique_ptr<Communicator>> communicators_;
  std::vector<std::shared_ptr<void>> watches_;
  std::vector<ReplicaFeed> feeds_;  ///< of this process' replicas
  std::vector<int64_t> rows_;       ///< of all replicas in the current step
  uint64_t collectives_ = 0;
  std::atomic<size_t> num_bytes_ = 0;
  std::vector<std::unique_ptr<Carrier>> carriers_;
};

}  // namespace

std::unique_ptr<StepRunner> make_replica_runner(
    Runtime& runtime, const Trace& trace, const ReplicaPart& part,
    std::vector<std::unique_ptr<Communicator>> communicators, int64_t batch_size,
    Workers& workers) {
  return std::make_unique<ReplicaRunner>(runtime, trace, part, std::move(communicators), batch_size,
                                         workers);
}

}  // namespace cohort::distribute
