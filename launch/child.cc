#include "launch/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/system.h"

namespace cohort::launch {
namespace {

struct Pipe {
  Descriptor read, write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error("cohort-launch: pipe", errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

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
    for (std::string& word : command) argv.push_back(word.data());
    for (std::string& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    CPU_ZERO(&cpus);
    for (const int cpu : process.cpus) CPU_SET(cpu, &cpus);
    bind = !process.cpus.empty();
  }
  std::vector<std::string> command, environment;
  std::vector<char*> argv, envp;
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
  if (image.bind) ::sched_setaffinity(0, sizeof image.cpus, &image.cpus);
  ::execvpe(image.argv[0], image.argv.data(), image.envp.data());
  const char* reason = std::strerror(errno);
  const std::array<const char*, 5> message = {"cohort-launch: cannot start ", image.argv[0], ": ",
                                              reason, "\n"};
  for (const char* part : message) (void)!::write(2, part, std::strlen(part));
  ::_exit(127);
}

Ending describe(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED)
    return {info.si_status, fmt::format("exit code {}", info.si_status)};
  return {128 + info.si_status,
          fmt::format("signal {} ({})", info.si_status, ::strsignal(info.si_status))};
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    number_ = other.release();
  }
  return *this;
}

void Descriptor::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

int Descriptor::release() { return std::exchange(number_, -1); }

Child::Child(const Process& process, Sink& out, Sink& err)
    : name_(process.name),
      remote_(process.remote),
      out_lines_("[" + process.name + "] ", out),
      err_lines_("[" + process.name + "] ", err) {
  Pipe in = make_pipe(), output = make_pipe(), errors = make_pipe();
  if (!remote_) in.read = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Image image(process);
  const pid_t launcher = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw ResourceExhausted("cohort-launch: cannot fork: {}", std::strerror(errno));
  if (pid_ == 0) become(image, launcher, in.read.get(), output.write.get(), errors.write.get());
  ::setpgid(pid_, pid_);  // here too, so that it is so before the first signal
  if (remote_) in_ = std::move(in.write);
  out_ = std::move(output.read);
  err_ = std::move(errors.read);
  for (const Descriptor* end : {&out_, &err_}) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
}

void Child::signal(int signal) {
  if (!running()) return;
  in_.close();
  if (!remote_ || signal == SIGKILL) ::kill(-pid_, signal);
}

std::optional<Ending> Child::reap() {
  siginfo_t info{};
  if (!running() || ::waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid == 0)
    return std::nullopt;
  drain(out_, out_lines_);
  drain(err_, err_lines_);
  out_lines_.finish();
  err_lines_.finish();
  in_.close();
  out_.close();
  err_.close();
  ::kill(-pid_, SIGKILL);  // the number is the group's until the process is reaped
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  return describe(info);
}

void Child::read(int descriptor) {
  if (descriptor == out_.get())
    drain(out_, out_lines_);
  else
    drain(err_, err_lines_);
}

// At most what a pipe holds, so that one worker does not keep the others waiting.
void Child::drain(Descriptor& from, LineReader& to) {
  std::array<char, 64 << 10> buffer;
  for (int i = 0; i < 16 && from.open(); ++i) {
    const ssize_t size = ::read(from.get(), buffer.data(), buffer.size());
    if (size > 0) to.read({buffer.data(), static_cast<size_t>(size)});
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) from.close();
  }
}

std::string Child::last_lines() const {
  const auto& lines =
      err_lines_.last_lines().empty() ? out_lines_.last_lines() : err_lines_.last_lines();
  std::string text;
  for (const std::string& line : lines) text += "  " + line + "\n";
  return text;
}

}  // namespace cohort::launch
