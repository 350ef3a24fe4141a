// Frames over MPI, between the processes of real jobs of mpirun.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "cohort/core/runtime/module.h"
#include "cohort/distribute/communication_options.h"
#include "cohort/distribute/process_group.h"
#include "cohort/distribute/transport/mpi_world.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

namespace fs = std::filesystem;

TEST(MpiModuleTest, IsThereExactlyWhenItWasBuilt) {
  std::string problem;
  EXPECT_EQ(module_symbol("mpi", kMpiEntry, problem) != nullptr, testing::built_with::mpi)
      << problem;
}

TEST(MpiModuleTest, WithoutItTheErrorSaysSo) {
  if (testing::built_with::mpi) GTEST_SKIP() << "this build has MPI";
  testing::expect_error(Code::kFailedPrecondition, {"COHORT_MPI=ON"},
                        [] { start_mpi({}, std::chrono::seconds(1)); });
}

struct Output {
  int exit_code = -1;
  std::string text;

  int count(const std::string& part) const {
    int found = 0;
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
    return found;
  }
};

Output run_command(const std::string& command) {
  Output output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> bytes;
  while (const size_t got = fread(bytes.data(), 1, bytes.size(), pipe))
    output.text.append(bytes.data(), got);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) output.exit_code = WEXITSTATUS(status);
  return output;
}

// MPI itself leaks, which is not for our sanitizer build to find.
constexpr const char* kMpirun =
    "ASAN_OPTIONS=detect_leaks=0 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout "
    "-k 5 200 mpirun "
    "--oversubscribe --bind-to none --mca mpi_yield_when_idle 1 ";

class MpiJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::built_with::mpi) GTEST_SKIP() << "this build has no MPI";
    if (std::system("mpirun --version 2> /dev/null | grep -q 'Open MPI'") != 0)
      GTEST_SKIP() << "there is no mpirun of Open MPI";
    folder_ = fs::temp_directory_path() / "cohort-mpi-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~MpiJobTest() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  std::string program(const std::string& scenario) const {
    return std::string(testing::built_with::mpi_program) + " " + scenario + " " + folder_;
  }
  Output run_job(int processes, const std::string& scenario) const {
    return run_command(kMpirun + ("-np " + std::to_string(processes) + " ") + program(scenario));
  }

  std::string folder_;
};

TEST_F(MpiJobTest, TwoProcessesHaveTheBitsOfTcp) {
  const Output output = run_job(2, "compare");
  EXPECT_EQ(output.exit_code, 0) << output.text;
  EXPECT_EQ(output.count("ok\n"), 2) << output.text;
}

TEST_F(MpiJobTest, FourProcessesHaveTheBitsOfTcp) {
  const Output output = run_job(4, "compare");
  EXPECT_EQ(output.exit_code, 0) << output.text;
  EXPECT_EQ(output.count("ok\n"), 4) << output.text;
}

TEST_F(MpiJobTest, AProgramMayHaveBegunMpiItselfAndEndsIt) {
  const Output output = run_job(2, "program");
  EXPECT_EQ(output.exit_code, 0) << output.text;
  EXPECT_EQ(output.count("ok\n"), 2) << output.text;
}

TEST_F(MpiJobTest, AProgramsMpiWithoutThreadsIsRefused) {
  const Output output = run_job(2, "single");
  EXPECT_NE(output.exit_code, 0);
  EXPECT_GE(output.count("error: FailedPrecondition mpi: got MPI_THREAD_SINGLE; want "
                         "MPI_THREAD_MULTIPLE"),
            1)
      << output.text;
}

TEST_F(MpiJobTest, MpiThatHasEndedIsRefused) {
  const Output output = run_job(2, "twice");
  EXPECT_NE(output.exit_code, 0);
  EXPECT_GE(output.count("error: FailedPrecondition mpi: MPI has ended in this process"), 1)
      << output.text;
}

TEST_F(MpiJobTest, AProcessThatNobodyStartedForMpiIsRefused) {
  const Output output = run_command(program("compare"));
  EXPECT_EQ(output.exit_code, 3);
  EXPECT_EQ(
      output.count("error: FailedPrecondition mpi: this process was not started for MPI; want "
                   "mpirun"),
      1)
      << output.text;
}

class FakeWorld : public MpiWorld {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  std::unique_ptr<Connection> connect(int, int) override { return nullptr; }
  void give_up() override {}
};

TEST(MpiGroupTest, RefusesWhatContradictsItself) {
  cluster::LocalKeyValueStore store;
  ProcessGroupOptions options = group_of(2);
  options.store = &store;
  options.transport = Transport::kMpi;
  testing::expect_invalid({"the transport MPI alone"},
                          [&] { make_process_communicators(options); });
  options.mpi = std::make_shared<FakeWorld>();
  options.transport = Transport::kTcp;
  testing::expect_invalid({"MPI for the transport TCP"},
                          [&] { make_process_communicators(options); });
  options.transport = Transport::kAuto;
  options.tls.certificate = "keys";
  testing::expect_error(Code::kFailedPrecondition, {"does not encrypt"},
                        [&] { make_process_communicators(options); });
}

TEST(MpiGroupTest, TwoNodesOfOneRankAndMissingNodesAreNamed) {
  cluster::LocalKeyValueStore store;
  FakeWorld world;
  MpiMeshOptions options{.store = &store,
                         .key = "k",
                         .names = {"rank 0 (process 0)", "rank 1 (process 1)"},
                         .world = &world,
                         .timeout = std::chrono::milliseconds(20)};
  testing::expect_error(Code::kDeadlineExceeded,
                        {"rank 0 (process 0)", "20 ms", "rank 1 (process 1)"},
                        [&] { connect_by_mpi(options); });
  options.key = "other";
  store.insert("other/1", "0 1");
  testing::expect_invalid({"rank 0 (process 0) and rank 1 (process 1) have ranks 0 and 0 of 2"},
                          [&] { connect_by_mpi(options); });
}

TEST(MpiGroupTest, OptionsKnowMpi) {
  EXPECT_EQ(parse_communication_implementation("MPI"), CommunicationImplementation::kMpi);
}

}  // namespace
}  // namespace cohort::distribute
