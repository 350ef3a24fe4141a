#include "cohort/nn/callbacks/step_trace.h"

#include <cstdio>

#include "cohort/core/runtime/runtime.h"
#include "cohort/core/terminal.h"
#include "cohort/core/trace/chrome_trace.h"
#include "cohort/nn/internal/clock_offsets.h"
#include "cohort/nn/model_impl.h"

namespace cohort::nn {
namespace {

/// What is gathered at once: the workers keep this much memory for each other.
constexpr size_t kPiece = size_t{256} << 10;

/// `mine` of every worker. Collective.
std::vector<std::string> gather_in_pieces(distribute::Workers& workers, const std::string& mine) {
  std::vector<std::string> all(static_cast<size_t>(workers.count()));
  for (size_t done = 0; workers.any("trace goes on", done < mine.size()); done += kPiece) {
    const std::string_view rest =
        done < mine.size() ? std::string_view(mine).substr(done, kPiece) : std::string_view();
    const auto pieces = workers.all_gather("trace", rest);
    for (size_t worker = 0; worker < all.size(); ++worker) all[worker] += pieces[worker];
  }
  return all;
}

class StepTraceImpl : public CallbackImpl {
 public:
  explicit StepTraceImpl(StepTrace options) : options_(std::move(options)) {
    if (options_.first_step < 0 || options_.num_steps < 1)
      throw InvalidArgument("StepTrace: got {} steps from {}; want 1 or more from 0 or later",
                            options_.num_steps, options_.first_step);
    if (options_.path.empty()) throw InvalidArgument("StepTrace: got no path; want one");
  }
  ~StepTraceImpl() override { stop(); }

  bool same_on_all_workers() const override { return true; }

  void on_train_begin() override {
    stop();
    recorder_ = std::make_unique<TraceRecorder>();
    step_ = 0;
    written_ = false;
  }

  void on_epoch_begin(int64_t) override { waits_since_ = Clock::now(); }

  void on_train_batch_begin(int64_t batch) override {
    first_batch_ = batch;
    if (written_ || step_ < options_.first_step) return;
    default_runtime().record_to(recorder_.get());
    began_ = Clock::now();
    recorder_->add({.track = "training", .name = "input", .op = "Input"}, waits_since_, began_);
  }

  void on_train_batch_end(int64_t batch, const Logs&) override {
    const int64_t first = step_;
    step_ += batch - first_batch_ + 1;
    waits_since_ = Clock::now();
    if (!records()) return;
    default_runtime().record_to(nullptr);
    recorder_->add({.track = "training", .name = fmt::format("step {}", first), .op = "Step"},
                   began_, waits_since_);
    if (step_ >= options_.first_step + options_.num_steps) write();
  }

  void on_train_end(const Logs&) override {
    if (!written_ && step_ > options_.first_step) {
      write();
    } else if (!written_ && params().is_chief) {
      say(stderr, fmt::format("StepTrace: training ended after {} steps, before step {}\n", step_,
                              options_.first_step));
    }
    recorder_.reset();
  }

 private:
  using Clock = TraceRecorder::Clock;

  bool records() const { return recorder_ && default_runtime().recorder() == recorder_.get(); }
  void stop() {
    if (records()) default_runtime().record_to(nullptr);
  }

  /// Collective: every worker records the same steps.
  void write() {
    written_ = true;
    distribute::Workers& workers = model().model_impl().strategy().workers();
    const auto offsets = internal::clock_offsets(workers);
    const auto packed = gather_in_pieces(workers, pack_events(recorder_->events()));
    if (!params().is_chief) return;
    std::vector<ProcessTrace> processes;
    for (int worker = 0; worker < workers.count(); ++worker) {
      const auto w = static_cast<size_t>(worker);
      processes.push_back({workers.name_of(worker), unpack_events(packed[w]), offsets[w]});
    }
    save_text(options_.path, to_chrome_json(processes));
  }

  const StepTrace options_;
  std::unique_ptr<TraceRecorder> recorder_;
  int64_t step_ = 0, first_batch_ = 0;
  bool written_ = false;
  Clock::time_point waits_since_, began_;
};

}  // namespace

StepTrace::operator Callback() const { return make<StepTraceImpl>(*this); }

}  // namespace cohort::nn
