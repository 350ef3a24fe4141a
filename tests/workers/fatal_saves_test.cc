#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <tuple>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/step_directory.h"
#include "tests/workers/workers.h"

/// A process of a job is killed instead of any operation on files, while the job restores or saves:
/// the others end and name it, a whole checkpoint loads, and the job goes on from it.
namespace cohort {
namespace {

using ::testing::HasSubstr;

using Tensors = std::map<std::string, Tensor>;

/// The parameters: the worker that is killed, and whether files are written beside training.
class FatalSavesTest : public ::testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  FatalSavesTest()
      : path_(std::filesystem::temp_directory_path() /
              ("cohort_fatal_saves_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
    if (std::get<1>(GetParam())) setenv("ASYNCHRONOUS", "1", 1);
  }
  ~FatalSavesTest() override {
    for (const char* name :
         {"ASYNCHRONOUS", "CHECKPOINT_PATH", "FATAL_OPERATION", "KEPT", "LAST_STEP"})
      unsetenv(name);
    std::filesystem::remove_all(path_);
  }

  int killed() const { return std::get<0>(GetParam()); }

  std::vector<WorkerResult> run(const std::string& directory, int kept, int last_step,
                                std::optional<int> operation = {}) {
    setenv("LAST_STEP", std::to_string(last_step).c_str(), 1);
    setenv("CHECKPOINT_PATH", (path_ / directory).c_str(), 1);
    setenv("KEPT", std::to_string(kept).c_str(), 1);
    if (operation) setenv("FATAL_OPERATION", fmt::format("{} {}", killed(), *operation).c_str(), 1);
    std::vector<WorkerResult> results = run_workers(2, {"fatal_saves", "1", "2"});
    unsetenv("FATAL_OPERATION");
    return results;
  }

  /// Of the newest whole checkpoint; every byte is compared with its checksum.
  std::pair<uint64_t, Tensors> load(const std::string& directory) const {
    checkpoint::NewestFirst steps(checkpoint::posix_storage(), path_ / directory);
    const auto state = steps.next();
    if (!state) return {0, {}};
    EXPECT_TRUE(steps.skipped().empty()) << steps.report();
    return {state->manifest().step, tensors_of(*state)};
  }
  Tensors load(const std::string& directory, uint64_t step) const {
    return tensors_of(checkpoint::SavedState(checkpoint::posix_storage(),
                                             path_ / directory / checkpoint::step_name(step)));
  }

  /// Kills at operations (first, last] of a job that begins with `before`, one job for each: step
  /// `least` or a later one loads.
  void expect_survives(int first, int last, const std::string& before, uint64_t least,
                       const WorkerResult& want) {
    for (int operation = first + 1; operation <= last; ++operation) {
      SCOPED_TRACE(fmt::format("operation {} of {} to {}", operation, first + 1, last));
      const std::string now = fmt::format("{} {}", before, operation);
      std::filesystem::copy(path_ / before, path_ / now, std::filesystem::copy_options::recursive);
      const std::vector<WorkerResult> results = run(now, 1, 3, operation);
      const WorkerResult& survivor = results[static_cast<size_t>(1 - killed())];
      EXPECT_EQ(results[static_cast<size_t>(killed())].signal, SIGKILL);
      EXPECT_EQ(survivor.exit_code, 3) << survivor.output;
      EXPECT_THAT(survivor.output, HasSubstr(fmt::format("task:{}", killed())));
      const auto [step, tensors] = load(now);
      ASSERT_GE(step, least);
      if (step > 0) expect_equal(tensors, load("all", step));
      if (operation == (first + last) / 2)  // and the job goes on
        for (const WorkerResult& result : run(now, 1, 3)) {
          EXPECT_EQ(result.exit_code, 0) << result.output;
          EXPECT_EQ(result.value("weights"), want.value("weights"));
        }
      std::filesystem::remove_all(path_ / now);
    }
  }

  const std::filesystem::path path_;

 private:
  static Tensors tensors_of(const checkpoint::SavedState& state) {
    state.verify();
    Tensors tensors;
    for (const checkpoint::TensorRecord& tensor : state.manifest().tensors)
      tensors[tensor.name] = state.read(tensor).contiguous();
    return tensors;
  }
  static void expect_equal(const Tensors& got, const Tensors& want) {
    EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end(),
                           [](const auto& a, const auto& b) {
                             return a.first == b.first && bitwise_equal(a.second, b.second);
                           }));
  }
};

TEST_P(FatalSavesTest, TheLastWholeCheckpointLoadsWhereverASaveIsCutOff) {
  const bool beside_training = std::get<1>(GetParam());
  const std::vector<WorkerResult> all = run("all", 3, 3);  // each step's values
  ASSERT_EQ(all[0].exit_code, 0) << all[0].output;
  std::filesystem::create_directories(path_ / "fresh");
  const WorkerResult counts = run("counted", 1, 2)[static_cast<size_t>(killed())];
  expect_survives(std::stoi(counts.value("operations 1")), std::stoi(counts.value("operations 2")),
                  "fresh", beside_training ? 0 : 1, all[0]);
}

TEST_P(FatalSavesTest, TheCheckpointLoadsAgainWhereverARestoreIsCutOff) {
  const std::vector<WorkerResult> all = run("all", 3, 3);
  ASSERT_EQ(all[0].exit_code, 0) << all[0].output;
  run("saved", 1, 2);
  std::filesystem::copy(path_ / "saved", path_ / "restored",
                        std::filesystem::copy_options::recursive);
  const WorkerResult counts = run("restored", 1, 2)[static_cast<size_t>(killed())];
  expect_survives(0, std::stoi(counts.value("operations")), "saved", 2, all[0]);
}

INSTANTIATE_TEST_SUITE_P(Workers, FatalSavesTest,
                         ::testing::Combine(::testing::Values(0, 1), ::testing::Bool()),
                         [](const auto& info) {
                           return fmt::format("{}{}",
                                              std::get<0>(info.param) == 0 ? "Chief" : "Other",
                                              std::get<1>(info.param) ? "BesideTraining" : "");
                         });

/// A process that fit saves is killed instead of any operation on files of its second save: a whole
/// checkpoint loads, and started again it ends as if it had not been killed. The parameter: whether
/// files are written beside training, with as many operations.
class FatalFitsTest : public ::testing::TestWithParam<bool> {
 protected:
  FatalFitsTest() { setenv("CHECKPOINT_PATH", path_.c_str(), 1); }
  ~FatalFitsTest() override {
    for (const char* name : {"ASYNCHRONOUS", "CHECKPOINT_PATH", "FATAL_OPERATION"}) unsetenv(name);
    std::filesystem::remove_all(path_);
  }
  static WorkerResult run(std::optional<int> operation = {}) {
    if (operation) setenv("FATAL_OPERATION", fmt::format("0 {}", *operation).c_str(), 1);
    const WorkerResult result = run_workers(1, {"fatal_fits", "1", "2"})[0];
    unsetenv("FATAL_OPERATION");
    return result;
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("cohort_fatal_fits_" + std::to_string(getpid()));
};

TEST_P(FatalFitsTest, FitGoesOnWhereverASaveIsCutOff) {
  const WorkerResult want = run();
  ASSERT_EQ(want.exit_code, 0) << want.output;
  // Behind each batch; a save is made behind the hooks of every second one.
  const std::vector<std::string> operations = want.values("operations");
  ASSERT_EQ(operations.size(), 10u);
  const int first = std::stoi(operations[2]) + 1, last = std::stoi(operations[4]);
  EXPECT_GT(last, first + 20);  // a file, a manifest, their directories, the removal
  if (GetParam()) setenv("ASYNCHRONOUS", "1", 1);
  for (int operation = first; operation <= last; ++operation) {
    SCOPED_TRACE(fmt::format("operation {} of {} to {}", operation, first, last));
    std::filesystem::remove_all(path_);
    EXPECT_EQ(run(operation).signal, SIGKILL);
    checkpoint::NewestFirst steps(checkpoint::posix_storage(), path_);
    const auto whole = steps.next();
    ASSERT_NE(whole, nullptr);
    EXPECT_TRUE(steps.skipped().empty()) << steps.report();
    whole->verify();
    if ((operation - first) % 4 != 0) continue;
    const WorkerResult again = run();
    ASSERT_EQ(again.exit_code, 0) << again.output;
    EXPECT_EQ(again.value("weights"), want.value("weights"));
  }
}

INSTANTIATE_TEST_SUITE_P(Saves, FatalFitsTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "BesideTraining" : "Waiting";
});

}  // namespace
}  // namespace cohort
