#include "tests/workers/workers.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

namespace cohort {
namespace {

using Clock = std::chrono::steady_clock;

/// The environment of one rank of an mpirun job on one host.
std::map<std::string, std::string> environment(int rank, int size, const std::string& job) {
  return {{"OMPI_COMM_WORLD_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_SIZE", std::to_string(size)},
          {"OMPI_COMM_WORLD_LOCAL_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", std::to_string(size)},
          {"PMIX_NAMESPACE", job}};
}

[[noreturn]] void become_worker(const std::vector<std::string>& arguments, int output,
                                const std::map<std::string, std::string>& variables) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> argv{const_cast<char*>(COHORT_WORKER_PROGRAM)};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv.front(), argv.data());
  _exit(127);
}

}  // namespace

std::vector<std::string> WorkerResult::values(std::string_view name) const {
  const std::string key = std::string(name) + ": ";
  std::vector<std::string> found;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) found.push_back(line.substr(key.size()));
  return found;
}

std::string WorkerResult::value(std::string_view name) const {
  const std::string key = std::string(name) + ": ";
  size_t at = output.starts_with(key) ? 0 : output.find("\n" + key);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no line \"" << name << "\" in:\n" << output;
    return {};
  }
  at = output.find(key, at) + key.size();
  return output.substr(at, output.find('\n', at) - at);
}

Workers::Workers(int num_workers, const std::vector<std::string>& arguments)
    : workers_(static_cast<size_t>(num_workers)) {
  static int jobs = 0;
  const std::string job = "test-" + std::to_string(getpid()) + "-" + std::to_string(jobs++);
  for (int rank = 0; rank < num_workers; ++rank) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    const auto variables = environment(rank, num_workers, job);
    Worker& worker = workers_[static_cast<size_t>(rank)];
    worker.output = ends[0];
    worker.pid = fork();
    if (worker.pid == 0) become_worker(arguments, ends[1], variables);
    close(ends[1]);
  }
}

Workers::~Workers() {
  for (Worker& worker : workers_) {
    if (worker.output >= 0) close(worker.output);
    if (worker.pid < 0) continue;
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
  }
}

void Workers::signal(int worker, int number) {
  kill(workers_[static_cast<size_t>(worker)].pid, number);
}

bool Workers::read_some(Clock::time_point deadline, int except) {
  std::vector<pollfd> polled;
  std::vector<Worker*> readers;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (workers_[i].output < 0 || static_cast<int>(i) == except) continue;
    polled.push_back({workers_[i].output, POLLIN, 0});
    readers.push_back(&workers_[i]);
  }
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  if (readers.empty() || left <= 0 ||
      poll(polled.data(), polled.size(), static_cast<int>(left)) <= 0)
    return false;
  for (size_t i = 0; i < readers.size(); ++i) {
    if (polled[i].revents == 0) continue;
    char buffer[4096];
    const ssize_t count = read(polled[i].fd, buffer, sizeof buffer);
    if (count > 0) {
      readers[i]->text.append(buffer, static_cast<size_t>(count));
    } else {
      close(polled[i].fd);
      readers[i]->output = -1;
    }
  }
  return true;
}

void Workers::wait_for(int worker, std::string_view text, std::chrono::seconds deadline) {
  const auto end = Clock::now() + deadline;
  const Worker& wanted = workers_[static_cast<size_t>(worker)];
  while (wanted.text.find(text) == std::string::npos) {
    if (!read_some(end, -1)) {
      ADD_FAILURE() << "worker " << worker << " did not print \"" << text << "\":\n" << wanted.text;
      return;
    }
  }
}

std::vector<WorkerResult> Workers::wait(std::chrono::seconds deadline, int except) {
  const auto end = Clock::now() + deadline;
  while (read_some(end, except)) {
  }
  std::vector<WorkerResult> results(workers_.size());
  for (size_t i = 0; i < workers_.size(); ++i) {
    Worker& worker = workers_[i];
    if (static_cast<int>(i) == except) continue;
    if (worker.output >= 0) {
      ADD_FAILURE() << "worker " << i << " has not ended:\n" << worker.text;
      kill(worker.pid, SIGKILL);
    }
    int status = 0;
    waitpid(worker.pid, &status, 0);
    worker.pid = -1;
    results[i] = {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
                  .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                  .output = worker.text};
  }
  return results;
}

std::vector<WorkerResult> run_workers(int num_workers, const std::vector<std::string>& arguments) {
  return Workers(num_workers, arguments).wait(std::chrono::seconds(120));
}

}  // namespace cohort
