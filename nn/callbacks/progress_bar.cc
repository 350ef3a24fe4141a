#include "cohort/nn/callbacks/progress_bar.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>

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
  explicit ProgressBarImpl(ProgressBarOptions options)
      : print_(std::move(options.print)),
        terminal_(options.terminal.value_or(stdout_is_terminal())) {
    text_.reserve(1024);
  }

  bool same_on_all_workers() const override { return true; }
  void on_train_begin() override { in_fit_ = true; }
  void on_train_end(const Logs&) override { in_fit_ = false; }
  void on_epoch_begin(int64_t epoch) override {
    start();
    if (params().epochs > 1) {
      text_.clear();
      fmt::format_to(std::back_inserter(text_), "Epoch {}/{}\n", epoch + 1, params().epochs);
      flush();
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
    begin_ = Clock::now();
    last_drawn_ = {};
    seen_ = 0;
    width_ = 0;
  }

  int64_t target() const { return params().steps >= 0 ? params().steps : known_target_; }

  void update(int64_t seen, const Logs* logs) {
    seen_ = seen;
    if (seen == 1) after_first_ = Clock::now();
    if (params().verbose != 1 || !terminal_) return;
    const Clock::time_point now = Clock::now();
    if (seconds_between(last_drawn_, now) < kIntervalSeconds) return;
    last_drawn_ = now;
    draw(now, logs, false);
  }

  void finish(const Logs* logs) {
    if (known_target_ < 0) known_target_ = seen_;
    const Clock::time_point now = Clock::now();
    if (params().verbose == 1 && terminal_)
      draw(now, logs, true);
    else
      write_line(now, logs);
  }

  /// The first step, which compiles, is left out when there are more.
  double seconds_per_step(Clock::time_point now) const {
    if (seen_ > 1) return seconds_between(after_first_, now) / static_cast<double>(seen_ - 1);
    return seen_ == 1 ? seconds_between(begin_, now) : 0;
  }

  auto out() { return std::back_inserter(text_); }

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

  void draw(Clock::time_point now, const Logs* logs, bool last) {
    text_.clear();
    text_ += "\r";
    append_bar(target());
    const double per_step = seconds_per_step(now);
    if (!last && target() > 0)
      append_duration(per_step * static_cast<double>(target() - seen_));
    else
      append_duration(std::round(seconds_between(begin_, now)));
    append_time_per_step(per_step);
    append_logs(logs);
    // Bytes are at least columns: what a longer text left behind is covered.
    const size_t width = text_.size();
    if (width < width_) text_.append(width_ - width, ' ');
    width_ = width;
    if (last) text_ += "\n";
    flush();
  }

  void write_line(Clock::time_point now, const Logs* logs) {
    text_.clear();
    fmt::format_to(out(), "{}/{} - {:.0f}s -", seen_, target(), seconds_between(begin_, now));
    append_time_per_step(seconds_per_step(now));
    append_logs(logs);
    text_ += "\n";
    flush();
  }

  void flush() {
    if (!params().is_chief) return;
    if (print_) {
      print_(text_);
      return;
    }
    std::fwrite(text_.data(), 1, text_.size(), stdout);
    std::fflush(stdout);
  }

  std::function<void(std::string_view)> print_;
  bool terminal_;
  bool in_fit_ = false;
  Clock::time_point begin_, after_first_, last_drawn_;
  int64_t seen_ = 0;
  int64_t known_target_ = -1;  ///< steps of the first epoch, where the dataset cannot tell
  size_t width_ = 0;
  std::string text_;
};

}  // namespace

ProgressBar::ProgressBar(ProgressBarOptions options)
    : Callback(std::make_shared<ProgressBarImpl>(std::move(options))) {}

}  // namespace cohort::nn
