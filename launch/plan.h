#pragma once

#include <string>
#include <vector>

#include "launch/hosts.h"

namespace cohort::launch {

struct LaunchOptions {
  int num_workers = 0;      // 0: one for each slot
  std::vector<Host> hosts;  // empty: all on this one
  int port = 0;             // worker i of a host listens at port + i; 0: at any port
  std::vector<std::string> ssh = {"ssh", "-o", "BatchMode=yes"};  // then the host, then a command
  std::vector<std::string> forward;  // "NAME=VALUE" for workers on other hosts
  std::string secret;                // of the job, for workers on other hosts; empty: none
  int secret_descriptor = -1;        // where workers of this host read it; -1: none
  bool bind = true;                  // give each worker its share of this host's CPUs
  std::vector<std::string> command;  // program and arguments
};

/// An open descriptor of the launcher that a worker inherits under the same number, which the
/// variable of its environment says. The launcher's has FD_CLOEXEC, and outlives the start.
struct InheritedDescriptor {
  std::string variable;
  int number = -1;
};

/// A worker to be started.
struct Process {
  std::string name;  // "worker 1"
  std::vector<std::string> command;
  std::vector<std::string> environment;  // "NAME=VALUE", in addition to the launcher's own
  std::vector<int> cpus;                 // where it may run; empty: anywhere
  std::vector<InheritedDescriptor> inherited;
  bool reads_input = false;  // the launcher's standard input; otherwise /dev/null
  /// It runs elsewhere: its end here is asked for by closing its standard input.
  bool remote = false;
  /// What a remote one reads there first; a pipe holds it.
  std::string input;
};

/// The workers of a job, each with its TF_CONFIG. On one host without a port all listen at
/// 127.0.0.1:0, and the leader publishes its address. Over several hosts the leader has a port that
/// follows from `job_id` and is given to all as COHORT_COORDINATOR, the others any.
/// `restart`: how often the job was started before, for COHORT_RESTART_COUNT.
/// Throws InvalidArgument for options that contradict each other.
std::vector<Process> plan(const LaunchOptions& options, const std::string& job_id, int restart);

/// The shell command by which a worker runs on another host: in `directory`, with the environment
/// that it reads from standard input, ended with all its children when that closes. Everybody on
/// both hosts can read a command line, so no variable is in it. POSIX shell and setsid.
std::string remote_command(const std::string& directory, const std::vector<std::string>& command);

/// What remote_command's shell reads first. Throws InvalidArgument for what is no shell's variable,
/// or more than a pipe holds.
std::string remote_input(const std::vector<std::string>& environment);

/// `text` as one word of a POSIX shell.
std::string quote(const std::string& text);

}  // namespace cohort::launch
