#include "launch/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cohort/cluster/failure_record.h"

namespace cohort::launch {
namespace {

constexpr size_t kPiece = 4096;  // a pipe that polls writable takes so much without blocking

}  // namespace

void Sink::append(std::string_view bytes) {
  if (!broken_) buffer_ += bytes;
}

void Sink::write_some() {
  const size_t size = std::min(buffer_.size() - begin_, kPiece);
  const ssize_t written = ::write(descriptor_, buffer_.data() + begin_, size);
  if (written < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (written < 0) {
    broken_ = true;
    begin_ = buffer_.size();
  } else {
    begin_ += written;
  }
  if (begin_ == buffer_.size() || begin_ > kMaxBytes) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
}

void LineReader::read(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t size = std::min({end, bytes.size(), kMaxLine - partial_.size()});
    partial_ += bytes.substr(0, size);
    bytes.remove_prefix(size);
    const bool whole = !bytes.empty() && bytes[0] == '\n';
    if (whole) bytes.remove_prefix(1);
    if (!whole && partial_.size() < kMaxLine) return;
    emit(partial_);
    partial_.clear();
  }
}

void LineReader::finish() {
  if (!partial_.empty()) emit(partial_);
  partial_.clear();
}

// True when the line held a record; what else it held has been emitted.
bool LineReader::take_record(std::string_view line) {
  const size_t begin = line.find(cluster::kRecordBegin);
  const size_t end = line.find(cluster::kRecordEnd, begin == line.npos ? begin : begin + 1);
  if (!on_record_ || end == line.npos) return false;
  const size_t first = begin + cluster::kRecordBegin.size();
  on_record_(line.substr(first, end - first));
  const std::string rest = std::string(line.substr(0, begin)) +
                           std::string(line.substr(end + cluster::kRecordEnd.size()));
  if (!rest.empty()) emit(rest);
  return true;
}

void LineReader::emit(std::string_view line) {
  if (take_record(line)) return;
  sink_->append(prefix_);
  sink_->append(line);
  sink_->append("\n");
  if (last_lines_.size() == kLastLines) last_lines_.pop_front();
  last_lines_.emplace_back(line.substr(0, kLastLineBytes));
}

}  // namespace cohort::launch
