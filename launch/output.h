#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace cohort::launch {

/// Bytes on their way to a file descriptor that nobody may block on. Errors of the descriptor (a
/// reader that has gone) drop what is written.
class Sink {
 public:
  explicit Sink(int descriptor) : descriptor_(descriptor) {}

  void append(std::string_view bytes);
  bool empty() const { return begin_ == buffer_.size(); }
  /// Sources should wait until some of it has been written.
  bool full() const { return buffer_.size() - begin_ > kMaxBytes; }
  /// Writes a piece; poll() has said that it does not block.
  void write_some();
  int descriptor() const { return descriptor_; }

 private:
  static constexpr size_t kMaxBytes = 1 << 20;

  int descriptor_;
  bool broken_ = false;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not written yet
};

/// Turns a worker's output into lines "[worker 1] text" and remembers the last of them. Lines
/// beyond 64 KiB are cut into several.
class LineReader {
 public:
  LineReader(std::string prefix, Sink& sink) : prefix_(std::move(prefix)), sink_(&sink) {}

  void read(std::string_view bytes);
  /// The output has ended: what it holds without a line's end is a line too.
  void finish();
  const std::deque<std::string>& last_lines() const { return last_lines_; }
  /// Takes failure records that stand among the output (cluster/failure_record.h) out of it.
  void on_record(std::function<void(std::string_view record)> handler) {
    on_record_ = std::move(handler);
  }

 private:
  static constexpr size_t kMaxLine = 64 << 10;
  static constexpr size_t kLastLines = 20;
  static constexpr size_t kLastLineBytes = 2000;

  void emit(std::string_view line);
  bool take_record(std::string_view line);

  std::string prefix_;
  Sink* sink_;
  std::string partial_;
  std::deque<std::string> last_lines_;
  std::function<void(std::string_view)> on_record_;
};

}  // namespace cohort::launch
