// The environment that each way of launch/ would give to every worker, fed to resolve_job.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cohort/cluster/job.h"

namespace cohort::launch {
namespace {

namespace fs = std::filesystem;
using cluster::Environment;
using cluster::Job;
using cluster::resolve_job;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kLaunch = std::string(COHORT_SOURCE_DIR) + "/launch/";

std::string read(const std::string& file) {
  std::ifstream in(kLaunch + file);
  std::ostringstream text;
  text << in.rdbuf();
  EXPECT_TRUE(in) << file;
  return text.str();
}

// The scalar behind the first `key:` after `from`, without quotes.
std::string value(const std::string& text, const std::string& key, const std::string& from = "") {
  size_t at = text.find(from);
  at = text.find(key + ":", at);
  EXPECT_NE(at, std::string::npos) << key;
  at = text.find_first_not_of(" \"", at + key.size() + 1);
  return text.substr(at, text.find_first_of("\"\n #", at) - at);
}

// What a shell command prints; its exit code must be 0.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  while (const size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    text.append(buffer.data(), size);
  EXPECT_EQ(::pclose(pipe), 0) << command << "\n" << text;
  return text;
}

TEST(ManifestsTest, IndexedJobsPodsFindEachOther) {
  const std::string text = read("kubernetes/indexed_job.yaml");
  const int completions = std::stoi(value(text, "completions"));
  const std::string job_name = value(text, "name", "kind: Job");
  EXPECT_EQ(value(text, "parallelism"), value(text, "completions"))
      << "all workers run at one time";
  EXPECT_EQ(value(text, "completionMode"), "Indexed");
  EXPECT_EQ(value(text, "name", "kind: Service"), value(text, "subdomain"));
  EXPECT_EQ(value(text, "clusterIP"), "None");
  EXPECT_EQ(value(text, "job-name"), job_name) << "the Service selects the Job's pods";
  for (int index = 0; index < completions; ++index) {
    std::map<std::string, std::string> variables = {
        {"JOB_COMPLETION_INDEX", std::to_string(index)},
        {"HOSTNAME", job_name + "-" + std::to_string(index)}};
    for (const char* name : {"COHORT_NUM_WORKERS", "COHORT_SERVICE", "COHORT_PORT"})
      variables[name] = value(text, "value", std::string("name: ") + name);
    const Job job = resolve_job(Environment(variables));
    EXPECT_EQ(job.self, index);
    EXPECT_EQ(static_cast<int>(job.tasks.size()), completions);
    EXPECT_EQ(job.coordinator,
              job_name + "-0." + value(text, "subdomain") + ":" + value(text, "containerPort"));
  }
}

TEST(ManifestsTest, TfJobsPodsFindEachOther) {
  const std::string text = read("kubernetes/tfjob.yaml");
  const int replicas = std::stoi(value(text, "replicas"));
  const std::string name = value(text, "name", "metadata:");
  EXPECT_EQ(value(text, "name", "containers:"), "tensorflow");
  std::vector<std::string> addresses;
  for (int i = 0; i < replicas; ++i)
    addresses.push_back(name + "-worker-" + std::to_string(i) +
                        ".default.svc:" + value(text, "containerPort"));
  for (int i = 0; i < replicas; ++i) {
    // As the operator writes it.
    const nlohmann::json config = {{"cluster", {{"worker", addresses}}},
                                   {"task", {{"type", "worker"}, {"index", i}}},
                                   {"environment", "cloud"}};
    const Job job = resolve_job(Environment({{"TF_CONFIG", config.dump()}}));
    EXPECT_EQ(job.self, i);
    EXPECT_EQ(job.addresses, addresses);
    EXPECT_EQ(job.coordinator, addresses[0]);
  }
}

// launch/mpirun.sh with a program in mpirun's place that prints its arguments and the coordinator.
class MpirunScriptTest : public ::testing::Test {
 protected:
  MpirunScriptTest() {
    std::string name = "/tmp/cohort-mpirun-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    write("mpirun", "#!/bin/sh\necho \"$COHORT_COORDINATOR|$*\"\n");
    fs::permissions(folder_ / "mpirun", fs::perms::owner_all);
  }
  ~MpirunScriptTest() override { fs::remove_all(folder_); }

  void write(const std::string& file, const std::string& text) {
    std::ofstream(folder_ / file) << text;
  }
  std::string run(const std::string& arguments, const std::string& variables = "") {
    return output_of("env -u SLURM_JOB_NODELIST -u COHORT_COORDINATOR COHORT_MPIRUN=" +
                     (folder_ / "mpirun").string() + " " + variables + " " + kLaunch +
                     "mpirun.sh " + arguments);
  }

  fs::path folder_;
};

TEST_F(MpirunScriptTest, OneHostNeedsNoCoordinator) {
  EXPECT_THAT(run("-np 4 train --host a,b"), Not(HasSubstr("COHORT_COORDINATOR")));
  EXPECT_THAT(run("--host a:4 -np 4 train"), Not(HasSubstr("COHORT_COORDINATOR")));
  EXPECT_THAT(run("-np 4 train x"), HasSubstr("--bind-to none"));
  EXPECT_THAT(run("-np 4 train x"), HasSubstr("-np 4 train x\n"));
}

TEST_F(MpirunScriptTest, SeveralHostsGetTheFirstAsCoordinator) {
  const std::string out = run("--mca btl tcp,self -np 4 --host a:2,b:2 train");
  EXPECT_THAT(out, HasSubstr("-x COHORT_COORDINATOR"));
  EXPECT_EQ(out.rfind("a:2", 0), 0u) << out;
  write("hosts", "# cluster\nnode1 slots=2\nnode2 slots=2\n");
  EXPECT_EQ(run("-np 4 --hostfile " + (folder_ / "hosts").string() + " train", "COHORT_PORT=4000")
                .substr(0, 11),
            "node1:4000|");
  EXPECT_EQ(run("-np 4 --host a,b train", "COHORT_COORDINATOR=c:1").substr(0, 4), "c:1|");
}

TEST_F(MpirunScriptTest, MpiJobsRanksFindEachOther) {
  const std::string text = read("kubernetes/mpijob.yaml");
  const int replicas = std::stoi(value(text, "replicas", "Worker:\n"));
  const std::string name = value(text, "name", "metadata:");
  EXPECT_THAT(text, HasSubstr("\"-np\", \"" + std::to_string(replicas) + "\""));
  std::string hostfile;  // as the operator writes it
  for (int i = 0; i < replicas; ++i)
    hostfile += name + "-worker-" + std::to_string(i) + "." + name + ".default.svc slots=1\n";
  write("hostfile", hostfile);
  const std::string out =
      run("-np 4 train", "OMPI_MCA_orte_default_hostfile=" + (folder_ / "hostfile").string());
  const std::string coordinator = out.substr(0, out.find('|'));
  EXPECT_EQ(coordinator.rfind(name + "-worker-0." + name + ".default.svc:", 0), 0u) << out;
  for (int i = 0; i < replicas; ++i) {
    const Job job = resolve_job(Environment({{"OMPI_COMM_WORLD_RANK", std::to_string(i)},
                                             {"OMPI_COMM_WORLD_SIZE", std::to_string(replicas)},
                                             {"OMPI_COMM_WORLD_LOCAL_SIZE", "1"},
                                             {"COHORT_COORDINATOR", coordinator}}));
    EXPECT_EQ(job.self, i);
    EXPECT_EQ(job.coordinator, coordinator);
  }
}

}  // namespace
}  // namespace cohort::launch
