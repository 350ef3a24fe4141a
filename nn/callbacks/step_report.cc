#include "cohort/nn/callbacks/step_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "cohort/core/terminal.h"

namespace cohort::nn {
namespace {

/// A worker is worth a word when it works longer than the median by this share.
constexpr double kNoticeable = 0.05;

double work_of(const StepTimes& times) { return times.input_us + times.compute_us; }

class StepReportImpl : public CallbackImpl {
 public:
  explicit StepReportImpl(StepReport options) : print_(std::move(options.print)) {
    if (!print_) print_ = [](std::string_view text) { say(stderr, text); };
  }

  bool same_on_all_workers() const override { return true; }
  bool wants_step_times() const override { return true; }

  void on_step_times(int64_t epoch, const std::vector<StepTimes>& workers) override {
    if (!params().is_chief) return;
    const StepTimes& mine = workers.front();
    const double all = work_of(mine) + mine.communication_us;
    print_(fmt::format(
        "epoch {}: {:.0f} us a step: input {:.0f}, compute {:.0f}, exposed communication {:.0f} "
        "({:.0f} %); {:.0f} bytes sent\n",
        epoch + 1, all, mine.input_us, mine.compute_us, mine.communication_us,
        all > 0 ? 100 * mine.communication_us / all : 0, mine.bytes_sent));
    name_straggler(epoch, workers);
  }

 private:
  void name_straggler(int64_t epoch, const std::vector<StepTimes>& workers) const {
    std::vector<double> work;
    for (const StepTimes& times : workers) work.push_back(work_of(times));
    const auto slowest = std::max_element(work.begin(), work.end()) - work.begin();
    const double most = work[static_cast<size_t>(slowest)];
    std::sort(work.begin(), work.end());
    const double median = work[(work.size() - 1) / 2];
    if (most <= median * (1 + kNoticeable)) return;
    const StepTimes& times = workers[static_cast<size_t>(slowest)];
    print_(fmt::format(
        "epoch {}: slowest: worker {}, input {:.0f} + compute {:.0f} us, {:.0f} % over the "
        "median\n",
        epoch + 1, slowest, times.input_us, times.compute_us, 100 * (most / median - 1)));
  }

  std::function<void(std::string_view)> print_;
};

}  // namespace

StepReport::operator Callback() const { return make<StepReportImpl>(*this); }

}  // namespace cohort::nn
