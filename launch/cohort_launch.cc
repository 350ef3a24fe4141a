// Starts the workers of a job on this host, or over ssh on others.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "cohort/cluster/job_secret.h"
#include "cohort/core/process_identity.h"
#include "cohort/core/system.h"
#include "cohort/core/version.h"
#include "launch/plan.h"
#include "launch/supervisor.h"

namespace {

using namespace cohort;

struct Arguments {
  launch::LaunchOptions launch;
  std::string hosts, hostfile, ssh;
  std::vector<std::string> forward;
  int max_restarts = 0;
  int grace_seconds = 30;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw NotFound("hostfile: cannot read {}", path);
  return text.str();
}

// Unique among the running jobs of this host.
std::string make_job_id(int restart) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const int pid = ::getpid();
  return fmt::format("launch-{}-{}-{}-{}", host.data(), pid, process_start(pid), restart);
}

launch::LaunchOptions to_options(Arguments& arguments) {
  launch::LaunchOptions options = std::move(arguments.launch);
  if (!arguments.hosts.empty()) options.hosts = launch::parse_hosts(arguments.hosts);
  if (!arguments.hostfile.empty())
    options.hosts = launch::parse_hostfile(read_file(arguments.hostfile));
  if (!arguments.ssh.empty()) {
    std::istringstream words(arguments.ssh);
    options.ssh.clear();
    for (std::string word; words >> word;) options.ssh.push_back(word);
  }
  for (const std::string& name : arguments.forward)
    if (const char* value = std::getenv(name.c_str()))
      options.forward.push_back(name + "=" + value);
  return options;
}

int run(Arguments& arguments) {
  launch::LaunchOptions options = to_options(arguments);
  options.secret = cluster::job_secret_of_process();  // the user's own, or a new one
  if (options.secret.empty()) options.secret = cluster::random_secret();
  const launch::Descriptor secret(cluster::secret_descriptor(options.secret));
  options.secret_descriptor = secret.get();
  launch::plan(options, "check", 0);  // errors of the options before anything starts
  launch::Supervisor supervisor({.signal_grace = std::chrono::seconds(arguments.grace_seconds)});
  for (int restart = 0;; ++restart) {
    const launch::Outcome outcome =
        supervisor.run(launch::plan(options, make_job_id(restart), restart));
    if (outcome.code == 0 || outcome.interrupted || restart == arguments.max_restarts)
      return outcome.code;
    std::fprintf(stderr, "cohort-launch: starting all workers again (restart %d of %d)\n",
                 restart + 1, arguments.max_restarts);
  }
}

}  // namespace

int main(int argc, char** argv) {
  cohort::prepare_process();
  CLI::App app("Starts the workers of a training job: cohort-launch -n 4 program arguments…");
  Arguments arguments;
  app.add_option("-n,--workers", arguments.launch.num_workers, "Workers; one per slot if not given")
      ->check(CLI::Range(1, 4096));
  auto* hosts = app.add_option("--hosts", arguments.hosts, "Hosts and their slots: a,b:2");
  app.add_option("--hostfile", arguments.hostfile, "A file with a host per line: a slots=2")
      ->excludes(hosts);
  app.add_option("--port", arguments.launch.port,
                 "Worker i of a host listens at this port + i; any port if not given")
      ->check(CLI::Range(1, 65535));
  app.add_option("--ssh", arguments.ssh, "The command that runs another on a host");
  app.add_option("--env", arguments.forward, "A variable to pass to other hosts; may be repeated")
      ->expected(1);
  app.add_flag("--bind,!--no-bind", arguments.launch.bind,
               "Share out this host's CPUs among its workers (the default)");
  app.add_option("--max-restarts", arguments.max_restarts, "Start the job again when it fails")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--grace", arguments.grace_seconds,
                 "Seconds that workers have to end after SIGINT or SIGTERM")
      ->check(CLI::NonNegativeNumber);
  app.set_version_flag("--version", "cohort-launch " COHORT_VERSION);
  app.prefix_command();
  CLI11_PARSE(app, argc, argv);
  arguments.launch.command = app.remaining();
  if (!arguments.launch.command.empty() && arguments.launch.command.front() == "--")
    arguments.launch.command.erase(arguments.launch.command.begin());
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cohort-launch: %s\n", cohort::describe(error).c_str());
    return 2;
  }
}
