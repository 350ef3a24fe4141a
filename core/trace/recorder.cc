#include "core/trace/recorder.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

#include "core/graph/op.h"

namespace cohort {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

}  // namespace

TraceRecorder::Span::Span(TraceRecorder& recorder, const Node* node)
    : recorder_(recorder), node_(node), begin_(Clock::now()) {}

TraceRecorder::Span::~Span() { recorder_.add(node_, begin_, Clock::now()); }

void TraceRecorder::add(const Node* node, Clock::time_point begin, Clock::time_point end) {
  Event event{node ? node->name() : "transfer", node ? node->op_name() : "Transfer",
              std::hash<std::thread::id>()(std::this_thread::get_id()) % 100000,
              microseconds(begin - start_), microseconds(end - begin)};
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

std::vector<TraceRecorder::Event> TraceRecorder::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::string TraceRecorder::to_chrome_json() const {
  std::string json = "{\"traceEvents\":[";
  const char* separator = "\n";
  for (const Event& event : events()) {
    json += fmt::format(
        "{}{{\"name\":{},\"cat\":{},\"ph\":\"X\",\"pid\":0,\"tid\":{},\"ts\":{:.3f},\"dur\":{:.3f}}"
        "}",
        separator, quoted(event.name), quoted(event.op), event.thread, event.begin_us,
        event.duration_us);
    separator = ",\n";
  }
  return json + "\n],\"displayTimeUnit\":\"ms\"}\n";
}

void TraceRecorder::save(const std::string& path) const {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (!file) throw Unavailable("trace: cannot write {}: {}", path, std::strerror(errno));
  const std::string json = to_chrome_json();
  const bool complete = std::fwrite(json.data(), 1, json.size(), file) == json.size();
  if (std::fclose(file) != 0 || !complete)
    throw Unavailable("trace: cannot write {}: {}", path, std::strerror(errno));
}

}  // namespace cohort
