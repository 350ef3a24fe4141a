#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "cohort/core/process_identity.h"

namespace cohort::launch {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline constexpr auto kDeadline = 60s;

// cohort-launch with its two outputs. `prepare` runs in its process before it.
class Launched {
 public:
  explicit Launched(
      std::vector<std::string> arguments, void (*prepare)() = [] {}) {
    arguments.insert(arguments.begin(), COHORT_LAUNCH);
    int out[2], err[2];
    EXPECT_EQ(::pipe2(out, O_CLOEXEC) + ::pipe2(err, O_CLOEXEC), 0);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      prepare();
      ::execv(argv[0], argv.data());
      ::_exit(126);
    }
    ::close(out[1]);
    ::close(err[1]);
    ends_ = {out[0], err[0]};
  }
  ~Launched() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }

  void signal(int signal) const { ::kill(pid_, signal); }
  pid_t pid() const { return pid_; }
  void close_output() {
    ::close(ends_[0]);
    ends_[0] = -1;
  }

  // Reads until `count` lines of standard output contain `text`.
  void await(const std::string& text, int count) {
    const auto until = Clock::now() + kDeadline;
    const auto found = [&] {
      int lines = 0;
      for (size_t at = 0; (at = out.find(text, at)) != std::string::npos; ++at) ++lines;
      return lines >= count;
    };
    while (!found() && Clock::now() < until && read()) continue;
    ASSERT_TRUE(found()) << out << err;
  }

  // The exit code, with all output read. 128 + a signal.
  int wait() {
    const auto until = Clock::now() + kDeadline;
    while (Clock::now() < until && read()) continue;
    int status = 0;
    EXPECT_LT(Clock::now(), until) << "it hangs: " << out << err;
    if (Clock::now() >= until) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string out, err;

 private:
  // False when both have ended.
  bool read() {
    std::array<pollfd, 2> polled = {pollfd{ends_[0], POLLIN, 0}, pollfd{ends_[1], POLLIN, 0}};
    if (ends_[0] < 0 && ends_[1] < 0) return false;
    ::poll(polled.data(), polled.size(), 1000);
    std::array<char, 64 << 10> buffer;
    for (int i = 0; i < 2; ++i) {
      if (ends_[i] < 0 || polled[i].revents == 0) continue;
      const ssize_t size = ::read(ends_[i], buffer.data(), buffer.size());
      if (size > 0) {
        (i == 0 ? out : err).append(buffer.data(), size);
      } else {
        ::close(ends_[i]);
        ends_[i] = -1;
      }
    }
    return true;
  }

  pid_t pid_ = -1;
  std::array<int, 2> ends_{-1, -1};
};

inline Launched workers(
    int count, const std::string& script, std::vector<std::string> options = {},
    void (*prepare)() = [] {}) {
  options.insert(options.end(), {"-n", std::to_string(count), "sh", "-c", script});
  return Launched(options, prepare);
}

// Shell commands that tell the launcher of a failure.
inline std::string record(const std::string& own, const std::string& text) {
  return R"(echo '{"task":"/job:worker/task:1","own":)" + own + R"(,"code":15,"text":")" + text +
         R"(","time_ns":1}' > /proc/self/fd/${COHORT_FAILURE_PIPE%%:*}; )";
}

// The letter of a process' state in /proc: T for a stopped one. 0 when it has ended.
inline char state_of(int pid) {
  std::string text;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), text);
  const size_t end = text.rfind(") ");
  return end == std::string::npos ? 0 : text[end + 2];
}

inline void expect_stopped(int pid, bool stopped) {
  const auto until = Clock::now() + kDeadline;
  while ((state_of(pid) == 'T') != stopped && Clock::now() < until)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(state_of(pid) == 'T', stopped) << pid << " is " << state_of(pid);
}

// `script` for worker 1, `others` for the rest.
inline std::string worker_1(const std::string& script, const std::string& others) {
  return "case $TF_CONFIG in *'\"index\":1'*) " + script + ";; *) " + others + ";; esac";
}

// What worker `rank` wrote. Lines of different workers come in any order among each other.
inline std::string lines_of(const std::string& out, int rank) {
  const std::string prefix = "[worker " + std::to_string(rank) + "] ";
  std::istringstream lines(out);
  std::string line, of_worker;
  while (std::getline(lines, line))
    if (line.starts_with(prefix)) of_worker += line.substr(prefix.size()) + "\n";
  return of_worker;
}

// Numbers behind "pid=" in the output.
inline std::set<int> pids(const std::string& out) {
  std::set<int> found;
  for (size_t at = 0; (at = out.find("pid=", at)) != std::string::npos; at += 4)
    found.insert(std::stoi(out.substr(at + 4)));
  return found;
}

inline void expect_gone(const std::set<int>& processes) {
  const auto until = Clock::now() + kDeadline;
  for (const int pid : processes) {
    // They are not our children: nothing but looking tells us of their end.
    while (!cohort::process_start(pid).empty() && Clock::now() < until)
      std::this_thread::sleep_for(5ms);
    EXPECT_EQ(cohort::process_start(pid), "") << "process " << pid << " is still there";
  }
}

}  // namespace cohort::launch
