// One process of the MPI jobs that tests/distribute/mpi_test.cc starts: `mpi_program SCENARIO
// FOLDER`. The processes find each other in files of FOLDER. An error is printed as `error: CODE
// message`, and the exit code is 3.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/mpi_world.h"
#include "tests/support/folder_store.h"

namespace cohort::distribute {
namespace {

constexpr std::chrono::seconds kTimeout(60);
constexpr int kSingle = 0, kMultiple = 3;  // the levels of Open MPI and MPICH

/// The bytes that all-reduces and a gather leave on this rank: random sizes, several at a time.
std::string results(const ProcessGroupOptions& options) {
  const auto ranks = make_process_communicators(options);
  Communicator& rank = *ranks.front();
  std::mt19937 random(11);  // the same choices on every rank
  std::string bytes;
  for (int round = 0; round < 6; ++round) {
    constexpr size_t kCount = 5;
    std::vector<std::vector<float>> own(kCount);
    std::vector<std::shared_ptr<void>> buckets(kCount);
    std::vector<void*> data(kCount);
    std::vector<std::unique_ptr<Communicator::Request>> requests;
    for (size_t i = 0; i < kCount; ++i) {
      const size_t n = round == 0 && i == 0 ? 0 : random() % (size_t{1} << (random() % 20));
      own[i].resize(n);
      data[i] = own[i].data();
      if (random() % 2) data[i] = (buckets[i] = rank.allocate_bucket(n * 4)).get();
      requests.push_back(rank.prepare({.count = static_cast<int64_t>(n), .buffer = &data[i]}));
    }
    for (int step = 0; step < 4; ++step) {
      for (size_t i = 0; i < kCount; ++i) {
        for (size_t e = 0; e < own[i].size(); ++e)
          static_cast<float*>(data[i])[e] =
              1.0f /
              static_cast<float>(1 + (e + static_cast<size_t>(rank.rank() * 31 + step)) % 977);
        requests[i]->start();
      }
      for (size_t i = 0; i < kCount; ++i) {
        requests[i]->wait();
        bytes.append(static_cast<const char*>(data[i]), own[i].size() * 4);
      }
    }
  }
  std::vector<int> mine(static_cast<size_t>(rank.rank()) * 30000, rank.rank());
  std::vector<int> all(30000 * static_cast<size_t>(rank.size() * (rank.size() - 1) / 2));
  void* input = mine.data();
  void* output = all.data();
  const auto gather = rank.prepare({.kind = CollectiveKind::kAllGather,
                                    .dtype = DType::kU8,
                                    .count = static_cast<int64_t>(mine.size() * 4),
                                    .buffer = &input,
                                    .output = &output});
  gather->start();
  gather->wait();
  return bytes.append(static_cast<const char*>(output), all.size() * 4);
}

ProcessGroupOptions group(MpiWorld& world, cluster::KeyValueStore& store, const std::string& name) {
  ProcessGroupOptions options;
  for (int process = 0; process < world.size(); ++process) {
    options.block_sizes.push_back(1);
    options.process_of.push_back(process);
    options.host_of.push_back(std::to_string(process / 2));
  }
  options.process = world.rank();
  options.store = &store;
  options.name = name;
  options.timeout = kTimeout;
  return options;
}

/// MPI between all processes and between hosts of two leaves the bits that TCP leaves.
void compare(const std::shared_ptr<MpiWorld>& world, cluster::KeyValueStore& store) {
  ProcessGroupOptions options = group(*world, store, "tcp");
  options.transport = Transport::kTcp;
  const std::string want = results(options);
  options.mpi = world;
  options.transport = Transport::kMpi;
  for (const char* name : {"mpi", "again"}) {
    options.name = name;
    if (results(options) != want) throw Internal("other bits over MPI");
  }
  options.name = "hosts";
  options.transport = Transport::kAuto;
  if (results(options) != want) throw Internal("other bits over hosts of two");
}

std::shared_ptr<MpiWorld> start() {
  return start_mpi(cluster::Environment::of_process(), kTimeout);
}

/// MPI as a program of its own would use it.
struct ProgramsMpi {
  explicit ProgramsMpi(int level) : library(dlopen(COHORT_MPI_LIBRARY, RTLD_NOW)) {
    if (!library) throw Internal("no libmpi: {}", dlerror());
    int provided = 0;
    call<int(int*, char***, int, int*)>("MPI_Init_thread", nullptr, nullptr, level, &provided);
  }
  template <class Function, class... Args>
  void call(const char* name, Args... args) {
    auto* function = reinterpret_cast<Function*>(dlsym(library, name));
    if (!function || function(args...) != 0) throw Internal("{} failed", name);
  }
  void* library;
};

void run(const std::string& scenario, const std::string& folder) {
  test::FolderStore store(folder);
  if (scenario == "compare") {
    compare(start(), store);
  } else if (scenario == "twice") {
    start();
    start();
  } else if (scenario == "program") {
    ProgramsMpi mpi(kMultiple);
    compare(start(), store);
    int ended = 1;
    mpi.call<int(int*)>("MPI_Finalized", &ended);
    if (ended) throw Internal("the program's MPI has been ended");
    mpi.call<int()>("MPI_Finalize");
  } else if (scenario == "single") {
    ProgramsMpi mpi(kSingle);
    try {
      start();
    } catch (const Error& error) {
      mpi.call<int()>("MPI_Finalize");
      throw;
    }
  } else {
    throw InvalidArgument("mpi_program: got {}", scenario);
  }
  std::printf("ok\n");
}

}  // namespace
}  // namespace cohort::distribute

int main(int, char** argv) {
  try {
    cohort::distribute::run(argv[1], argv[2]);
  } catch (const cohort::Error& error) {
    std::printf("error: %s %s\n", std::string(cohort::code_name(error.code())).c_str(),
                error.what());
    return 3;
  }
}
