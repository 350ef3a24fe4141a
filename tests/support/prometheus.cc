#include "tests/support/prometheus.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <stdexcept>

namespace cohort::testing {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Reads one line from its beginning.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : line_(line), rest_(line) {}

  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(why + " in: " + std::string(line_));
  }
  bool at_end() const { return rest_.empty(); }
  bool skip(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }
  void want(std::string_view text) {
    if (!skip(text)) fail("no '" + std::string(text) + "'");
  }
  std::string name(bool colons) {
    size_t length = 0;
    while (length < rest_.size() &&
           (is_letter(rest_[length]) || (length > 0 && is_digit(rest_[length])) ||
            (colons && rest_[length] == ':')))
      ++length;
    if (length == 0) fail("no name");
    return take(length);
  }
  /// With \\ and \n, and \" inside of quotation marks.
  std::string text(bool quoted) {
    std::string out;
    while (!rest_.empty() && !(quoted && rest_[0] == '"')) {
      char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == '\\') {
        if (rest_.empty()) fail("a backslash at the end");
        c = rest_[0];
        rest_.remove_prefix(1);
        if (c != '\\' && c != 'n' && !(quoted && c == '"')) fail("an unknown escape");
        if (c == 'n') c = '\n';
      }
      out += c;
    }
    return out;
  }
  double number() {
    const std::string word = take(std::min(rest_.size(), rest_.find(' ')));
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (word == "+Inf") return kInfinity;
    if (word == "-Inf") return -kInfinity;
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (word.empty() || error != std::errc() || end != word.data() + word.size()) fail("no number");
    return value;
  }

 private:
  std::string take(size_t length) {
    const std::string taken(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return taken;
  }

  std::string_view line_, rest_;
};

class Parser {
 public:
  PrometheusText run(std::string_view text) {
    if (!text.empty() && text.back() != '\n') throw std::runtime_error("the last line has no end");
    while (!text.empty()) {
      const size_t end = text.find('\n');
      read(LineReader(text.substr(0, end)));
      text.remove_prefix(end + 1);
    }
    return std::move(result_);
  }

 private:
  void read(LineReader line) {
    if (line.skip("# HELP ")) return read_help(line);
    if (line.skip("# TYPE ")) return read_type(line);
    read_sample(line);
  }

  void read_help(LineReader& line) {
    current_ = line.name(true);
    if (result_.families.contains(current_)) line.fail("a second family");
    line.want(" ");
    result_.families[current_].help = line.text(false);
  }

  void read_type(LineReader& line) {
    if (line.name(true) != current_) line.fail("another name than HELP");
    auto& family = result_.families[current_];
    if (!family.type.empty() || !family.samples.empty()) line.fail("a late TYPE");
    line.want(" ");
    family.type = line.text(false);
    if (family.type != "counter" && family.type != "gauge") line.fail("an unknown type");
    if (family.type == "counter" && !current_.ends_with("_total")) line.fail("a counter's name");
  }

  void read_sample(LineReader& line) {
    if (line.name(true) != current_) line.fail("a sample outside of its family");
    auto& family = result_.families[current_];
    if (family.type.empty()) line.fail("a sample before its TYPE");
    PrometheusText::Sample sample;
    if (line.skip("{")) {
      do {
        const std::string label = line.name(false);
        line.want("=\"");
        if (!sample.labels.emplace(label, line.text(true)).second) line.fail("a label twice");
        line.want("\"");
      } while (line.skip(","));
      line.want("}");
    }
    line.want(" ");
    sample.value = line.number();
    if (!line.at_end()) line.fail("more than a number");
    for (const auto& other : family.samples)
      if (other.labels == sample.labels) line.fail("a sample twice");
    family.samples.push_back(std::move(sample));
  }

  PrometheusText result_;
  std::string current_;
};

}  // namespace

double PrometheusText::value(const std::string& name,
                             const std::map<std::string, std::string>& labels) const {
  const Sample* found = nullptr;
  const auto family = families.find(name);
  if (family == families.end()) throw std::runtime_error("no metric " + name);
  for (const Sample& sample : family->second.samples) {
    const bool fits = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
      const auto at = sample.labels.find(label.first);
      return at != sample.labels.end() && at->second == label.second;
    });
    if (!fits) continue;
    if (found) throw std::runtime_error("several samples of " + name);
    found = &sample;
  }
  if (!found) throw std::runtime_error("no such sample of " + name);
  return found->value;
}

PrometheusText parse_prometheus(std::string_view text) { return Parser().run(text); }

std::string ask(int port, std::string_view request) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    throw std::runtime_error("nobody listens at port " + std::to_string(port));
  }
  while (!request.empty()) {  // it may well close while this is under way
    const ssize_t sent = send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    request.remove_prefix(static_cast<size_t>(sent));
  }
  shutdown(fd, SHUT_WR);
  std::string answer;
  char buffer[4096];
  for (ssize_t count; (count = recv(fd, buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<size_t>(count));
  close(fd);
  return answer;
}

std::string get(int port, const std::string& path, int& status) {
  const std::string answer = ask(port, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 ")) throw std::runtime_error("no answer: " + answer);
  status = std::stoi(answer.substr(9, 3));
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? "" : answer.substr(body + 4);
}

}  // namespace cohort::testing
