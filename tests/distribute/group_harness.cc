#include "tests/distribute/group_harness.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "tests/support/folder_store.h"

namespace cohort::distribute {
namespace {

namespace fs = std::filesystem;

/// What a forked process leaves behind.
struct Report {
  std::atomic<int> code;
  char message[2000];
};

int num_processes(const ProcessGroupOptions& options) {
  return static_cast<int>(options.host_of.size());
}

void run_child(ProcessGroupOptions options, Report& report,
               const std::function<void(Communicator&)>& body) {
  try {
    const auto ranks = make_process_communicators(options);
    body(*ranks.front());
  } catch (const Error& error) {
    std::strncpy(report.message, error.what(), sizeof report.message - 1);
    report.code = static_cast<int>(error.code());
  }
}

}  // namespace

ProcessGroupOptions group_of(int num_ranks) {
  ProcessGroupOptions options;
  for (int rank = 0; rank < num_ranks; ++rank) {
    options.block_sizes.push_back(1);
    options.process_of.push_back(rank);
    options.host_of.push_back("here");
  }
  options.name = "test";
  options.startup_timeout = std::chrono::seconds(60);
  options.timeout = std::chrono::seconds(20);
  return options;
}

ProcessGroupOptions shared_memory(int num_ranks) { return group_of(num_ranks); }

ProcessGroupOptions tcp(int num_ranks) {
  ProcessGroupOptions group = group_of(num_ranks);
  group.transport = Transport::kTcp;
  return group;
}

ProcessGroupOptions hosts_of_two(int num_ranks) {
  ProcessGroupOptions group = group_of(num_ranks);
  for (size_t process = 0; process < group.host_of.size(); ++process)
    group.host_of[process] = std::to_string(process / 2);
  return group;
}

ProcessGroupOptions scattered(int num_ranks) {
  ProcessGroupOptions group = group_of(num_ranks);
  for (size_t process = 0; process < group.host_of.size(); ++process)
    group.host_of[process] = std::to_string(process % 2);
  return group;
}

std::vector<std::optional<Error>> run_ranks(ProcessGroupOptions options,
                                            const std::function<void(Communicator&)>& body) {
  cluster::LocalKeyValueStore store;
  options.store = &store;
  std::vector<std::optional<Error>> errors(options.block_sizes.size());
  const auto run = [&](size_t rank, const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      errors[rank] = error;
    }
  };
  std::vector<std::thread> processes;
  for (int process = 0; process < num_processes(options); ++process)
    processes.emplace_back([&, process] {
      ProcessGroupOptions mine = options;
      mine.process = process;
      std::vector<size_t> numbers;
      for (size_t rank = 0; rank < options.process_of.size(); ++rank)
        if (options.process_of[rank] == process) numbers.push_back(rank);
      std::vector<std::unique_ptr<Communicator>> ranks;
      run(numbers.front(), [&] { ranks = make_process_communicators(mine); });
      std::vector<std::thread> threads;
      for (size_t i = 0; i < ranks.size(); ++i)
        threads.emplace_back([&, i] { run(numbers[i], [&] { body(*ranks[i]); }); });
      for (std::thread& thread : threads) thread.join();
    });
  for (std::thread& process : processes) process.join();
  return errors;
}

std::vector<Ended> run_processes(const ProcessGroupOptions& options,
                                 const std::function<void(Communicator&)>& body) {
  std::string folder = fs::temp_directory_path() / "cohort-group-XXXXXX";
  if (!mkdtemp(folder.data())) throw Internal("no temporary folder");
  test::FolderStore store(folder);
  const size_t count = options.host_of.size();
  auto* reports = static_cast<Report*>(mmap(nullptr, count * sizeof(Report), PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<pid_t> children;
  for (size_t process = 0; process < count; ++process) {
    const pid_t child = fork();
    if (child == 0) {
      ProcessGroupOptions mine = options;
      mine.process = static_cast<int>(process);
      mine.store = &store;
      run_child(mine, reports[process], body);
      _exit(0);
    }
    children.push_back(child);
  }
  std::vector<Ended> ended(count);
  for (size_t process = 0; process < count; ++process) {
    waitpid(children[process], &ended[process].status, 0);
    const Report& report = reports[process];
    if (report.code != 0)
      ended[process].error = Error(static_cast<Code>(report.code.load()), report.message);
  }
  munmap(reports, count * sizeof(Report));
  fs::remove_all(folder);
  return ended;
}

void expect_no_errors(const std::vector<std::optional<Error>>& errors) {
  for (size_t rank = 0; rank < errors.size(); ++rank)
    EXPECT_FALSE(errors[rank]) << "rank " << rank << ": " << errors[rank]->what();
}

}  // namespace cohort::distribute
