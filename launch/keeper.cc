#include "launch/keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "cohort/core/system.h"

namespace cohort::launch {
namespace {

// Messages are pids: positive to add, negative to remove.
[[noreturn]] void keep(int pipe) {
  ::setsid();  // the terminal's signals are for the launcher
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(signal, SIG_IGN);
  ::prctl(PR_SET_NAME, "cohort-keeper");
  ::dup2(pipe, 0);
  ::close_range(1, ~0u, 0);
  std::set<int> groups;
  int message = 0;
  while (true) {
    const ssize_t size = ::read(0, &message, sizeof message);
    if (size < 0 && errno == EINTR) continue;
    if (size != sizeof message) break;
    if (message > 0)
      groups.insert(message);
    else
      groups.erase(-message);
  }
  for (const int group : groups) ::kill(-group, SIGKILL);
  ::_exit(0);
}

}  // namespace

Keeper::Keeper() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error("cohort-launch: pipe", errno);
  pid_ = ::fork();
  if (pid_ < 0) throw ResourceExhausted("cohort-launch: cannot fork: {}", std::strerror(errno));
  if (pid_ == 0) {
    ::close(ends[1]);
    keep(ends[0]);
  }
  ::close(ends[0]);
  pipe_ = ends[1];
}

Keeper::~Keeper() {
  ::close(pipe_);
  ::waitpid(pid_, nullptr, 0);
}

void Keeper::add(pid_t group) { tell(group); }

void Keeper::remove(pid_t group) { tell(-group); }

// A keeper that was killed is missed only if the launcher is killed as well.
void Keeper::tell(int message) { (void)!::write(pipe_, &message, sizeof message); }

}  // namespace cohort::launch
