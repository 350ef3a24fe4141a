#include "cohort/nn/callbacks/progress_bar.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "cohort/core/terminal.h"

namespace cohort::nn {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kIntervalSeconds = 0.05;
constexpr int kBarWidth = 20;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

class ProgressBarImpl : public CallbackImpl {
 public:
  explicit ProgressBarImpl(ProgressBar options)
      : print_(std::move(options.print)),
        terminal_(options.terminal ? *options.terminal : stdout_is_terminal()) {
    text_.reserve(1024);
    drawn_.reserve(1024);
  }
  ~ProgressBarImpl() override {
    if (is_open_) leave();
  }

  bool same_on_all_workers() const override { return true; }
  void on_train_begin() override {
    in_fit_ = true;
    if (params().resumes) start();
  }
  void on_train_end(const Logs&) override { in_fit_ = false; }
  void on_epoch_begin(int64_t epoch) override {
    start();
    if (params().epochs > 1) {
      text_.clear();
      fmt::format_to(out(), "Epoch {}/{}\n", epoch + 1, params().epochs);
      write();
    }
  }
  void on_train_batch_end(int64_t batch, const Logs& logs) override { update(batch + 1, &logs); }
  void on_epoch_end(int64_t, const Logs& logs) override { finish(&logs); }
  void on_test_begin() override {
    if (!in_fit_) start();
  }
  void on_test_batch_end(int64_t batch, const Logs& logs) override {
    if (!in_fit_) update(batch + 1, &logs);
  }
  void on_test_end(const Logs& logs) override {
    if (!in_fit_) finish(&logs);
  }
  void on_predict_begin() override { start(); }
  void on_predict_batch_end(int64_t batch) override { update(batch + 1, nullptr); }
  void on_predict_end() override { finish(nullptr); }

 private:
  void start() {
    leave();
    begin_ = Clock::now();
    last_drawn_ = {};
    seen_ = 0;
    first_ = 0;
  }

  int64_t target() const { return params().steps >= 0 ? params().steps : known_target_; }

  void update(int64_t seen, const Logs* logs) {
    seen_ = seen;
    if (first_ == 0) {
      first_ = seen;
      after_first_ = Clock::now();
    }
    if (params().verbose != 1 || !terminal_) return;
    const Clock::time_point now = Clock::now();
    if (seconds_between(last_drawn_, now) < kIntervalSeconds) return;
    last_drawn_ = now;
    compose(now, logs, false);
    draw();
  }

  void finish(const Logs* logs) {
    if (known_target_ < 0) known_target_ = seen_;
    const Clock::time_point now = Clock::now();
    if (params().verbose == 1 && terminal_) {
      compose(now, logs, true);
      end();
    } else {
      write_line(now, logs);
    }
  }

  /// The first step, which compiles, is left out when there are more.
  double seconds_per_step(Clock::time_point now) const {
    if (seen_ > first_)
      return seconds_between(after_first_, now) / static_cast<double>(seen_ - first_);
    return seen_ > 0 ? seconds_between(begin_, now) : 0;
  }

  std::back_insert_iterator<std::string> out() { return std::back_inserter(text_); }

  void append_time_per_step(double seconds) {
    if (seconds >= 1 || seconds == 0)
      fmt::format_to(out(), " {:.0f}s/step", seconds);
    else if (seconds >= 1e-3)
      fmt::format_to(out(), " {:.0f}ms/step", seconds * 1e3);
    else
      fmt::format_to(out(), " {:.0f}us/step", seconds * 1e6);
  }

  void append_logs(const Logs* logs) {
    if (!logs) return;
    // Validation comes last, as it was measured last.
    for (const bool validation : {false, true}) {
      for (const auto& [name, value] : *logs) {
        if (name.starts_with("val_") != validation) continue;
        const bool plain = std::abs(value) > 1e-3 || std::isnan(value);
        if (plain)
          fmt::format_to(out(), " - {}: {:.4f}", name, value);
        else
          fmt::format_to(out(), " - {}: {:.4e}", name, value);
      }
    }
  }

  void append_bar(int64_t target) {
    if (target <= 0) {
      fmt::format_to(out(), "{:7d}/Unknown", seen_);
      return;
    }
    const auto digits = static_cast<int>(fmt::formatted_size("{}", target));
    const auto done = static_cast<int>(kBarWidth * std::min(seen_, target) / target);
    fmt::format_to(out(), "\x1b[1m{:{}d}/{}\x1b[0m ", seen_, digits, target);
    text_ += "\x1b[32m";
    for (int i = 0; i < done; ++i) text_ += "━";
    text_ += "\x1b[0m\x1b[37m";
    for (int i = done; i < kBarWidth; ++i) text_ += "━";
    text_ += "\x1b[0m";
  }

  void append_duration(double seconds) {
    const auto whole = static_cast<int64_t>(seconds);
    if (whole > 3600)
      fmt::format_to(out(), " {}:{:02d}:{:02d}", whole / 3600, whole / 60 % 60, whole % 60);
    else if (whole > 60)
      fmt::format_to(out(), " {}:{:02d}", whole / 60, whole % 60);
    else
      fmt::format_to(out(), " {}s", whole);
  }

  void compose(Clock::time_point now, const Logs* logs, bool last) {
    text_.clear();
    append_bar(target());
    const double per_step = seconds_per_step(now);
    if (!last && target() > 0)
      append_duration(per_step * static_cast<double>(target() - seen_));
    else
      append_duration(std::round(seconds_between(begin_, now)));
    append_time_per_step(per_step);
    append_logs(logs);
  }

  void write_line(Clock::time_point now, const Logs* logs) {
    text_.clear();
    fmt::format_to(out(), "{}/{} - {:.0f}s -", seen_, target(), seconds_between(begin_, now));
    append_time_per_step(seconds_per_step(now));
    append_logs(logs);
    text_ += "\n";
    write();
  }

  /// Over the line, as much as fits.
  void draw() {
    if (!params().is_chief) return;
    is_open_ = true;
    if (!print_) return draw_line(text_);
    drawn_.clear();
    append_redrawn(drawn_, text_, stdout_columns());
    print_(drawn_);
  }

  /// Over the line, and ends it.
  void end() {
    if (!params().is_chief) return;
    is_open_ = false;
    if (!print_) return end_line(text_);
    drawn_.clear();
    append_redrawn(drawn_, text_, std::string::npos);
    drawn_ += '\n';
    print_(drawn_);
  }

  /// Ends the line as it is: of a run that an exception has ended, or of another bar's, around this
  /// one.
  void leave() {
    if (!print_)
      leave_line();
    else if (is_open_)
      print_("\n");
    is_open_ = false;
  }

  /// Whole lines.
  void write() {
    if (!params().is_chief) return;
    if (print_)
      print_(text_);
    else
      say(stdout, text_);
  }

  std::function<void(std::string_view)> print_;
  bool terminal_;
  bool in_fit_ = false;
  Clock::time_point begin_, after_first_, last_drawn_;
  int64_t seen_ = 0;
  int64_t first_ = 0;          ///< number of the first that was seen; 0: none
  int64_t known_target_ = -1;  ///< steps of the first epoch, where the dataset cannot tell
  bool is_open_ = false;       ///< the line that was drawn last
  std::string text_, drawn_;
};

}  // namespace

ProgressBar::operator Callback() const { return make<ProgressBarImpl>(*this); }

}  // namespace cohort::nn
