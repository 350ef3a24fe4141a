#include "tests/cluster/task_process.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "cohort/cluster/join.h"

namespace cohort::cluster {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* kVariable = "COHORT_TEST_TASK_";

std::string variable(const std::string& name) {
  const char* value = std::getenv((kVariable + name).c_str());
  return value ? value : "";
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void say(const std::string& word, const std::string& text = "") {
  std::printf("@%s %s\n", word.c_str(), text.c_str());
  std::fflush(stdout);
}

JoinOptions options_of_environment() {
  JoinOptions options{.self = std::stoi(variable("SELF")),
                      .coordinator = variable("COORDINATOR"),
                      .published = variable("PUBLISHED") == "1",
                      .addresses = split(variable("ADDRESSES")),
                      .advice_on_names = variable("ADVICE_ON_NAMES"),
                      .job_id = variable("JOB_ID"),
                      .secret = variable("SECRET"),
                      .one_host = variable("ONE_HOST") == "1",
                      .require_secret = variable("REQUIRE_SECRET") == "1",
                      .reflection = variable("REFLECTION") == "1",
                      .version = variable("VERSION"),
                      .startup_timeout = milliseconds(std::stoi(variable("STARTUP_MS"))),
                      .on_bound = [](const std::string& address) { say("bound", address); },
                      .log = [](const std::string& line) { say("log", line); },
                      .report_every = milliseconds(200)};
  for (int i = 0; i < std::stoi(variable("NUM_TASKS")); ++i) options.tasks.push_back({"worker", i});
  if (const std::string folder = variable("TLS_FOLDER"); !folder.empty())
    options.tls = {.certificate_authority = folder + "/ca.pem",
                   .certificate = folder + "/task.pem",
                   .private_key = folder + "/task.key"};
  return options;
}

void run_task() {
  const std::string then = variable("THEN");
  const auto membership = join_cluster(options_of_environment());
  say("started");
  if (then == "report") membership->report_error(Internal("a bug"));
  if (then == "last_words_of_" + variable("SELF")) {
    membership->report_error(DataLoss("a broken file"));
    std::_Exit(5);
  }
  if (then != "leave") membership->get("never", std::chrono::minutes(1));
  membership->barrier("last", std::chrono::seconds(30));
  membership->leave(std::chrono::seconds(30));
}

// The program of a TaskProcess; not a case of the test.
TEST(TaskProgram, DISABLED_Run) {
  try {
    run_task();
    say("done");
  } catch (const Error& error) {
    say("failed", std::string(code_name(error.code())) + " " + error.what());
    std::_Exit(3);
  }
}

std::vector<std::string> environment_of(const TaskPlan& plan) {
  std::vector<std::string> variables;
  for (char** at = environ; *at; ++at) variables.emplace_back(*at);
  const auto add = [&](const std::string& name, const std::string& value) {
    variables.push_back(kVariable + name + "=" + value);
  };
  add("SELF", std::to_string(plan.self));
  add("NUM_TASKS", std::to_string(plan.num_tasks));
  add("COORDINATOR", plan.coordinator);
  add("PUBLISHED", plan.published ? "1" : "0");
  add("ADDRESSES", plan.addresses);
  add("ADVICE_ON_NAMES", plan.advice_on_names);
  add("JOB_ID", plan.job_id);
  add("VERSION", plan.version);
  add("STARTUP_MS", std::to_string(plan.startup_ms));
  add("TLS_FOLDER", plan.tls_folder);
  add("SECRET", plan.secret);
  add("ONE_HOST", plan.one_host ? "1" : "0");
  add("REQUIRE_SECRET", plan.require_secret ? "1" : "0");
  add("REFLECTION", plan.reflection ? "1" : "0");
  add("THEN", plan.then);
  return variables;
}

}  // namespace

TaskProcess::TaskProcess(const TaskPlan& plan) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);

  std::vector<std::string> variables = environment_of(plan);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", disabled = "--gtest_also_run_disabled_tests",
              filter = "--gtest_filter=TaskProgram.DISABLED_Run";
  char* arguments[] = {program.data(), disabled.data(), filter.data(), nullptr};
  const int result =
      posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  output_ = ends[0];
  if (result != 0) throw std::runtime_error("posix_spawn");
}

TaskProcess::~TaskProcess() {
  close(output_);
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

bool TaskProcess::next_line(std::string& line, Clock::time_point deadline) {
  for (;;) {
    if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return true;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    pollfd ready{.fd = output_, .events = POLLIN, .revents = 0};
    char chunk[4096];
    if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
    const ssize_t size = read(output_, chunk, sizeof(chunk));
    if (size <= 0) return false;
    buffer_.append(chunk, static_cast<size_t>(size));
  }
}

std::string TaskProcess::wait_for(const std::string& word, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const std::string prefix = "@" + word + " ";
  std::string line, seen;
  while (next_line(line, deadline)) {
    if (line.starts_with(prefix)) return line.substr(prefix.size());
    if (line.starts_with("@")) seen += line + "\n";
  }
  ADD_FAILURE() << "process " << pid_ << " did not say " << word << "; it said\n" << seen;
  return "";
}

int TaskProcess::wait_for_exit(milliseconds timeout) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  pollfd ready{.fd = process, .events = POLLIN, .revents = 0};
  const int count = poll(&ready, 1, static_cast<int>(timeout.count()));
  close(process);
  if (count != 1) {
    ADD_FAILURE() << "process " << pid_ << " does not end";
    return -1;
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void TaskProcess::signal(int number) const { kill(pid_, number); }

}  // namespace cohort::cluster
