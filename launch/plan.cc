#include "launch/plan.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cohort/cluster/failure_record.h"
#include "cohort/core/error.h"

namespace cohort::launch {
namespace {

constexpr int kFirstPort = 20000;  // of a leader on another host: below the ports given to clients
constexpr int kNumPorts = 10000;
constexpr size_t kMaxInput = 60 << 10;  // a pipe holds 64 KiB

bool is_shell_name(const std::string& name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

struct Place {
  const Host* host;
  int local;  // position among the host's workers
};

std::vector<Place> place_workers(const std::vector<Host>& hosts, int num_workers) {
  std::vector<Place> places;
  for (const Host& host : hosts)
    for (int i = 0; i < host.slots; ++i) places.push_back({&host, i});
  if (num_workers > static_cast<int>(places.size()))
    throw InvalidArgument("cohort-launch: got {} workers for {} slots; want a slot for each",
                          num_workers, places.size());
  if (num_workers > 0) places.resize(num_workers);
  return places;
}

std::string tf_config(const std::vector<std::string>& addresses, int index) {
  const nlohmann::json config = {{"cluster", {{"worker", addresses}}},
                                 {"task", {{"type", "worker"}, {"index", index}}}};
  return config.dump();
}

std::vector<int> own_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

// Gives `count` workers of this host equal parts of its CPUs, or one thread each where there are
// fewer CPUs than workers.
void bind(std::vector<Process>& processes) {
  const std::vector<int> cpus = own_cpus();
  const size_t count = processes.size();
  for (size_t i = 0; i < count; ++i) {
    if (count <= cpus.size())
      processes[i].cpus.assign(cpus.begin() + i * cpus.size() / count,
                               cpus.begin() + (i + 1) * cpus.size() / count);
    else if (std::getenv("OMP_NUM_THREADS") == nullptr)
      processes[i].environment.push_back("OMP_NUM_THREADS=1");
  }
}

// Where each worker listens, by index.
std::vector<std::string> find_addresses(const std::vector<Place>& places, int port, bool one_host) {
  std::vector<std::string> addresses;
  for (const auto& [host, local] : places)
    addresses.push_back(
        fmt::format("{}:{}", one_host ? "127.0.0.1" : host->name, port == 0 ? 0 : port + local));
  return addresses;
}

void check(const LaunchOptions& options, const std::vector<Place>& places, bool one_host) {
  if (options.command.empty()) throw InvalidArgument("cohort-launch: got no program");
  if (places.empty()) throw InvalidArgument("cohort-launch: got no workers; want -n or hosts");
  int slots = 0;
  for (const Place& place : places) slots = std::max(slots, place.local + 1);
  if (options.port < 0 || options.port + slots > 65536)
    throw InvalidArgument("cohort-launch: got port {} for {} workers; want ports to 65535",
                          options.port, slots);
  for (const Place& place : places)
    if (!one_host && (place.host->name == "localhost" || place.host->name == "127.0.0.1"))
      throw InvalidArgument(
          "cohort-launch: got {} beside other hosts, which cannot reach it by that "
          "name; want its name in the network",
          place.host->name);
}

}  // namespace

std::vector<Process> plan(const LaunchOptions& options, const std::string& job_id, int restart) {
  const std::vector<Host> here = {{.name = "localhost", .slots = std::max(options.num_workers, 0)}};
  const std::vector<Host>& hosts = options.hosts.empty() ? here : options.hosts;
  const std::vector<Place> places = place_workers(hosts, options.num_workers);
  const bool one_host = std::all_of(places.begin(), places.end(), [](const Place& place) {
    return is_this_host(place.host->name);
  });
  check(options, places, one_host);

  std::vector<std::string> addresses = find_addresses(places, options.port, one_host);
  std::vector<std::string> common = {"COHORT_JOB_ID=" + job_id,
                                     fmt::format("COHORT_RESTART_COUNT={}", restart)};
  if (!one_host && options.port == 0) {
    const size_t hash = std::hash<std::string>{}(job_id);
    addresses[0] = fmt::format("{}:{}", places[0].host->name, kFirstPort + hash % kNumPorts);
    common.push_back("COHORT_COORDINATOR=" + addresses[0]);
  }

  const std::string directory = std::filesystem::current_path().string();
  std::vector<Process> processes;
  for (size_t i = 0; i < places.size(); ++i) {
    std::vector<std::string> environment = common;
    environment.push_back("TF_CONFIG=" + tf_config(addresses, static_cast<int>(i)));
    Process process{.name = fmt::format("worker {}", i)};
    if (is_this_host(places[i].host->name)) {
      process.command = options.command;
      process.environment = std::move(environment);
      process.reads_input = i == 0;
      if (options.secret_descriptor >= 0)
        process.environment.push_back(
            fmt::format("COHORT_JOB_SECRET_FD={}@{}", options.secret_descriptor, ::getpid()));
    } else {
      environment.insert(environment.end(), options.forward.begin(), options.forward.end());
      environment.push_back(std::string(cluster::kFailurePipeVariable) + "=stderr");
      if (!options.secret.empty()) {
        environment.push_back("COHORT_JOB_SECRET=" + options.secret);
        environment.push_back("COHORT_JOB_SECRET_FILE=");  // of a login there
      }
      process.command = options.ssh;
      process.command.push_back(places[i].host->name);
      process.command.push_back(remote_command(directory, options.command));
      process.remote = true;
      process.input = remote_input(environment);
    }
    processes.push_back(std::move(process));
  }
  if (one_host && options.bind) bind(processes);
  return processes;
}

std::string quote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text)
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  return quoted + "'";
}

// A count of lines, then as many lines of a shell's text.
std::string remote_input(const std::vector<std::string>& environment) {
  std::string text;
  for (const std::string& variable : environment) {
    const size_t equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    if (equals == std::string::npos || !is_shell_name(name))
      throw InvalidArgument(
          "cohort-launch: got the variable '{}'; want a name of letters, digits "
          "and _ to pass it to another host",
          name);
    text += "export " + name + "=" + quote(variable.substr(equals + 1)) + "\n";
  }
  text = fmt::format("{}\n{}", std::count(text.begin(), text.end(), '\n'), text);
  if (text.size() > kMaxInput)
    throw InvalidArgument(
        "cohort-launch: got {} bytes of variables for another host; want {} at "
        "most",
        text.size(), kMaxInput);
  return text;
}

// The worker leads a session of its own, so that its children end with it. `cat` waits for the end
// of standard input, which comes when this side or the connection ends. $c_b is a line's end: a
// login shell may not take one in a command.
std::string remote_command(const std::string& directory, const std::vector<std::string>& command) {
  std::string worker = "setsid";
  for (const std::string& word : command) worker += " " + quote(word);
  const std::string script =
      "cd " + quote(directory) +
      " || exit 1; exec 3<&0; c_b=$(printf '\\nx'); c_b=${c_b%x}; c_t=; read -r c_n <&3 || exit 1; "
      "while [ \"$c_n\" -gt 0 ]; do IFS= read -r c_l <&3 || exit 1; c_t=$c_t$c_l$c_b; "
      "c_n=$((c_n-1)); done; eval \"$c_t\"; unset c_b c_t c_n c_l; " +
      worker +
      " </dev/null 3<&- & p=$!; "
      "{ cat <&3; kill -TERM -$p; sleep 2; kill -KILL -$p; } "
      ">/dev/null 2>&1 & w=$!; "
      "wait $p; r=$?; kill $w 2>/dev/null; kill -KILL -$p 2>/dev/null; exit $r";
  return "sh -c " + quote(script);
}

}  // namespace cohort::launch
