#include "cohort/core/trace/chrome_trace.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <map>

#include "cohort/core/error.h"

namespace cohort {
namespace {

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

/// Writes the events of one process.
class ProcessWriter {
 public:
  ProcessWriter(std::vector<std::string>& out, size_t pid, const ProcessTrace& trace,
                int64_t origin_ns)
      : out_(out), pid_(pid), trace_(trace), origin_ns_(origin_ns + trace.clock_ahead_ns) {}

  void run() {
    name("process_name", 0, trace_.name);
    for (const TraceEvent& event : trace_.events) {
      const size_t tid = track(event.track);
      write(event, tid);
      if (event.kind == TraceEvent::Kind::kStart) started_[{tid, event.bucket}] = event.begin_ns;
      if (event.kind == TraceEvent::Kind::kWait) write_collective(event, tid);
    }
  }

 private:
  double microseconds(int64_t ns) const { return static_cast<double>(ns) / 1e3; }

  void name(const char* what, size_t tid, const std::string& text) {
    out_.push_back(fmt::format(R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":{}}}}})",
                               what, pid_, tid, json_quoted(text)));
  }

  size_t track(const std::string& text) {
    const auto [at, inserted] = tracks_.emplace(text, tracks_.size() + 1);
    if (inserted) name("thread_name", at->second, text);
    return at->second;
  }

  void write(const TraceEvent& event, size_t tid) {
    std::string shown = event.name, args;
    if (event.kind != TraceEvent::Kind::kSpan) {
      const bool starts = event.kind == TraceEvent::Kind::kStart;
      shown = fmt::format("{} bucket {}", starts ? "start" : "wait", event.bucket);
      args = fmt::format(R"(,"args":{{"node":{}}})", json_quoted(event.name));
    }
    out_.push_back(fmt::format(
        R"({{"name":{},"cat":{},"ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f}{}}})",
        json_quoted(shown), json_quoted(event.op), pid_, tid,
        microseconds(event.begin_ns - origin_ns_), microseconds(event.duration_ns), args));
  }

  void write_collective(const TraceEvent& wait, size_t tid) {
    const auto start = started_.find({tid, wait.bucket});
    if (start == started_.end()) return;  // it began before the recording
    const auto write_end = [&](const char* phase, int64_t time_ns) {
      out_.push_back(fmt::format(
          R"({{"name":"bucket {}","cat":"collective","ph":"{}","id":"{}.{}.{}.{}","pid":{},"tid":{},"ts":{:.3f}}})",
          wait.bucket, phase, pid_, tid, wait.bucket, num_collectives_, pid_, tid,
          microseconds(time_ns - origin_ns_)));
    };
    write_end("b", start->second);
    write_end("e", wait.begin_ns + wait.duration_ns);
    ++num_collectives_;
    started_.erase(start);
  }

  std::vector<std::string>& out_;
  const size_t pid_;
  const ProcessTrace& trace_;
  const int64_t origin_ns_;
  std::map<std::string, size_t> tracks_;
  std::map<std::pair<size_t, int64_t>, int64_t> started_;  ///< by track and bucket, not waited for
  size_t num_collectives_ = 0;
};

void put(std::string& bytes, int64_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
}
void put(std::string& bytes, const std::string& text) {
  put(bytes, static_cast<int64_t>(text.size()));
  bytes += text;
}

class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
  bool at_end() const { return rest_.empty(); }
  int64_t number() {
    int64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(static_cast<size_t>(number()))); }

 private:
  std::string_view take(size_t size) {
    if (size > rest_.size()) throw DataLoss("trace: got events that end too early");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view rest_;
};

}  // namespace

std::string to_chrome_json(std::span<const ProcessTrace> processes) {
  int64_t origin_ns = std::numeric_limits<int64_t>::max();
  for (const ProcessTrace& process : processes)
    for (const TraceEvent& event : process.events)
      origin_ns = std::min(origin_ns, event.begin_ns - process.clock_ahead_ns);
  std::vector<std::string> out;
  for (size_t pid = 0; pid < processes.size(); ++pid)
    ProcessWriter(out, pid, processes[pid], origin_ns).run();
  std::string json = "{\"traceEvents\":[";
  const char* separator = "\n";
  for (const std::string& event : out) {
    json += separator + event;
    separator = ",\n";
  }
  return json + "\n],\"displayTimeUnit\":\"ms\"}\n";
}

std::string pack_events(std::span<const TraceEvent> events) {
  std::string bytes;
  for (const TraceEvent& event : events) {
    for (const std::string* text : {&event.track, &event.name, &event.op}) put(bytes, *text);
    put(bytes, static_cast<int64_t>(event.kind));
    for (const int64_t number : {event.bucket, event.begin_ns, event.duration_ns})
      put(bytes, number);
  }
  return bytes;
}

std::vector<TraceEvent> unpack_events(std::string_view bytes) {
  Unpacker unpacker(bytes);
  std::vector<TraceEvent> events;
  while (!unpacker.at_end()) {
    TraceEvent& event = events.emplace_back();
    event.track = unpacker.text();
    event.name = unpacker.text();
    event.op = unpacker.text();
    event.kind = static_cast<TraceEvent::Kind>(unpacker.number());
    event.bucket = unpacker.number();
    event.begin_ns = unpacker.number();
    event.duration_ns = unpacker.number();
  }
  return events;
}

void save_text(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (!file) throw Unavailable("trace: cannot write {}: {}", path, std::strerror(errno));
  const bool complete = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !complete)
    throw Unavailable("trace: cannot write {}: {}", path, std::strerror(errno));
}

}  // namespace cohort
