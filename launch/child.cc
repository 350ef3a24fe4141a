#include "launch/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "cohort/core/error.h"
#include "launch/pseudo_terminal.h"

namespace cohort::launch {
namespace {

constexpr size_t kBytesAtOnce = 1 << 20;  // so that one worker does not keep the others waiting
constexpr size_t kLastBytes = 16 << 20;   // of an ended worker; more is of a child that goes on
constexpr size_t kMostRecordBytes = 64 << 10;

// Everything exec needs, made before the fork.
struct Image {
  explicit Image(const Process& process) : command(process.command) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view variable = *entry;
      const std::string_view name = variable.substr(0, variable.find('=') + 1);
      bool replaced = false;
      for (const std::string& added : process.environment) replaced |= added.starts_with(name);
      if (!replaced) environment.emplace_back(variable);
    }
    environment.insert(environment.end(), process.environment.begin(), process.environment.end());
    for (const auto& [variable, number] : process.inherited)
      inherit(number, fmt::format("{}={}", variable, number));
    CPU_ZERO(&cpus);
    for (const int cpu : process.cpus) CPU_SET(cpu, &cpus);
    bind = !process.cpus.empty();
  }

  void inherit(int number, std::string variable) {
    inherited.push_back(number);
    environment.push_back(std::move(variable));
  }
  // Nothing is added afterwards.
  void finish() {
    for (std::string& word : command) argv.push_back(word.data());
    for (std::string& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
  }

  std::vector<std::string> command, environment;
  std::vector<char*> argv, envp;
  std::vector<int> inherited;
  cpu_set_t cpus;
  bool bind;
};

// In the child; nothing that allocates.
[[noreturn]] void become(const Image& image, pid_t launcher, int in, int out, int err) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(1);  // it ended before it could be watched
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(err, 2);
  for (const int number : image.inherited) ::fcntl(number, F_SETFD, 0);
  if (image.bind) ::sched_setaffinity(0, sizeof image.cpus, &image.cpus);
  ::execvpe(image.argv[0], image.argv.data(), image.envp.data());
  const char* reason = std::strerror(errno);
  const std::array<const char*, 5> message = {"cohort-launch: cannot start ", image.argv[0], ": ",
                                              reason, "\n"};
  for (const char* part : message) (void)!::write(2, part, std::strlen(part));
  ::_exit(127);
}

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Ending ending_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED)
    return {info.si_status, fmt::format("exit code {}", info.si_status), false, now_ns()};
  return {128 + info.si_status,
          fmt::format("signal {} ({})", info.si_status, ::strsignal(info.si_status)), true,
          now_ns()};
}

// Standard input of the first worker: the launcher's own, but what is typed comes through a pipe.
Descriptor open_input(const Process& process, Pipe& pipe, bool& relays) {
  if (process.remote) return std::move(pipe.read);
  relays = process.reads_input && ::isatty(STDIN_FILENO) == 1;
  if (relays) return std::move(pipe.read);
  Descriptor own(process.reads_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : -1);
  return own.open() ? std::move(own) : Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

Pipe make_output() {
  if (std::optional<PseudoTerminal> terminal = open_pseudo_terminal())
    return {std::move(terminal->reader), std::move(terminal->writer)};
  return make_pipe();
}

std::string record_variable(const Descriptor& pipe) {
  struct stat about {};
  ::fstat(pipe.get(), &about);
  return fmt::format("{}={}:{}", cluster::kFailurePipeVariable, pipe.get(), about.st_ino);
}

}  // namespace

Child::Child(const Process& process, Sink& out, Sink& err)
    : name_(process.name),
      remote_(process.remote),
      out_sink_(out),
      err_sink_(err),
      out_lines_("[" + process.name + "] ", out),
      err_lines_("[" + process.name + "] ", err) {
  Pipe in = make_pipe(), errors = make_pipe(), report = make_pipe();
  Pipe output = remote_ ? make_pipe() : make_output();
  if (remote_ && ::write(in.write.get(), process.input.data(), process.input.size()) !=
                     static_cast<ssize_t>(process.input.size()))
    throw ResourceExhausted("cohort-launch: {} bytes do not fit a pipe", process.input.size());
  const Descriptor input = open_input(process, in, relays_);
  Image image(process);
  if (remote_)
    err_lines_.on_record([this](std::string_view record) { note(record); });
  else
    image.inherit(report.write.get(), record_variable(report.write));
  image.finish();
  const pid_t launcher = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw ResourceExhausted("cohort-launch: cannot fork: {}", std::strerror(errno));
  if (pid_ == 0) become(image, launcher, input.get(), output.write.get(), errors.write.get());
  ::setpgid(pid_, pid_);  // here too, so that it is so before the first signal
  if (remote_ || relays_) in_ = std::move(in.write);
  out_ = std::move(output.read);
  err_ = std::move(errors.read);
  report_ = std::move(report.read);
  for (const Descriptor* end : {&in_, &out_, &err_, &report_})
    if (end->open()) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
}

void Child::signal(int signal) {
  if (!running()) return;
  const bool ends = signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGKILL;
  if (ends) in_.close();
  if (!remote_ || signal == SIGKILL) ::kill(-pid_, signal);
}

bool Child::reap() {
  siginfo_t info{};
  if (!running() || ::waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0)
    return false;
  ::kill(-pid_, SIGKILL);  // the number is the group's until the process is reaped
  drain(out_, out_lines_, kLastBytes);
  drain(err_, err_lines_, kLastBytes);
  out_lines_.finish();
  err_lines_.finish();
  read_records();
  for (Descriptor* end : {&in_, &out_, &err_, &report_}) end->close();
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  ending_ = ending_of(info);
  return true;
}

std::array<Child::Source, 3> Child::sources() const {
  return {Source{out_.get(), &out_sink_}, Source{err_.get(), &err_sink_},
          Source{report_.get(), nullptr}};
}

void Child::read(int descriptor) {
  if (descriptor == out_.get()) drain(out_, out_lines_, kBytesAtOnce);
  if (descriptor == err_.get()) drain(err_, err_lines_, kBytesAtOnce);
  if (descriptor == report_.get()) read_records();
}

void Child::drain(Descriptor& from, LineReader& to, size_t most_bytes) {
  std::array<char, 64 << 10> buffer;
  for (size_t total = 0; total < most_bytes && from.open();) {
    const ssize_t size = ::read(from.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return from.close();  // EIO: nobody has the pseudo-terminal open any more
    to.read({buffer.data(), static_cast<size_t>(size)});
    total += static_cast<size_t>(size);
  }
}

void Child::read_records() {
  std::array<char, 4096> buffer;
  while (report_.open()) {
    const ssize_t size = ::read(report_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    if (size <= 0 || partial_record_.size() > kMostRecordBytes) {
      report_.close();
      break;
    }
    partial_record_.append(buffer.data(), static_cast<size_t>(size));
  }
  for (size_t end; (end = partial_record_.find('\n')) != std::string::npos;) {
    note(std::string_view(partial_record_).substr(0, end));
    partial_record_.erase(0, end + 1);
  }
}

// The first error of its own counts, else the first.
void Child::note(std::string_view record) {
  std::optional<cluster::FailureRecord> parsed = cluster::parse_failure_record(record);
  if (parsed && (!record_ || (parsed->own && !record_->own))) record_ = std::move(parsed);
}

WorkerEnd Child::end() const {
  const auto& lines =
      err_lines_.last_lines().empty() ? out_lines_.last_lines() : err_lines_.last_lines();
  std::string text;
  for (const std::string& line : lines) text += "  " + line + "\n";
  return {.name = name_, .ending = ending_, .record = record_, .last_lines = std::move(text)};
}

}  // namespace cohort::launch
