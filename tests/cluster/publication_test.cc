#include "cluster/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "cluster/process_identity.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::expect_error;
using testing::expect_invalid;

std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

// Publishes below a folder of its own.
class PublicationTest : public ::testing::Test {
 protected:
  PublicationTest() {
    std::string name = "/tmp/cohort-publication-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    if (const char* before = std::getenv("XDG_RUNTIME_DIR")) before_ = before;
    ::setenv("XDG_RUNTIME_DIR", name.c_str(), 1);
  }
  ~PublicationTest() override {
    fs::remove_all(base_);
    if (before_)
      ::setenv("XDG_RUNTIME_DIR", before_->c_str(), 1);
    else
      ::unsetenv("XDG_RUNTIME_DIR");
  }

  // Lets a child publish and end without taking it back.
  void publish_and_die(const std::string& job_id, const std::string& address) {
    const pid_t child = ::fork();
    if (child == 0) {
      const Publication publication = publish_address(job_id, address);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  fs::path base_;
  std::optional<std::string> before_;
};

TEST_F(PublicationTest, AwaitReturnsWhatWasPublished) {
  const Publication publication = publish_address("job-1", "127.0.0.1:4242");
  EXPECT_EQ(await_address("job-1", in(0ms)), "127.0.0.1:4242");
}

TEST_F(PublicationTest, AwaitReturnsWhatIsPublishedLater) {
  auto waiting = std::async(std::launch::async, [] { return await_address("job-1", in(30s)); });
  const Publication publication = publish_address("job-1", "127.0.0.1:4242");
  EXPECT_EQ(waiting.get(), "127.0.0.1:4242");
}

TEST_F(PublicationTest, NothingPublishedIsADeadlineThatNamesTheFile) {
  expect_error(Code::kDeadlineExceeded, {"job-1", base_.string()},
               [] { await_address("job-1", in(10ms)); });
}

TEST_F(PublicationTest, JobsAreKeptApart) {
  const Publication a = publish_address("a/b", "h:1");
  const Publication b = publish_address("a_b", "h:2");
  const Publication c = publish_address(std::string(300, 'x') + "1", "h:3");
  const Publication d = publish_address(std::string(300, 'x') + "2", "h:4");
  EXPECT_EQ(await_address("a/b", in(0ms)), "h:1");
  EXPECT_EQ(await_address("a_b", in(0ms)), "h:2");
  EXPECT_EQ(await_address(std::string(300, 'x') + "1", in(0ms)), "h:3");
  EXPECT_EQ(await_address(std::string(300, 'x') + "2", in(0ms)), "h:4");
}

TEST_F(PublicationTest, EndTakesFileAndFolderAway) {
  {
    Publication publication = publish_address("job-1", "h:1");
    const Publication moved = std::move(publication);
    EXPECT_TRUE(fs::exists(moved.path()));
  }
  EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(PublicationTest, ForkedChildLeavesTheFileAlone) {
  const Publication publication = publish_address("job-1", "h:1");
  const pid_t child = ::fork();
  if (child == 0) {
    { Publication copy = std::move(const_cast<Publication&>(publication)); }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(await_address("job-1", in(0ms)), "h:1");
}

TEST_F(PublicationTest, DeadLeadersFileIsNotTaken) {
  publish_and_die("job-1", "h:1");
  expect_error(Code::kDeadlineExceeded, {"job-1"}, [] { await_address("job-1", in(10ms)); });
  const Publication publication = publish_address("job-1", "h:2");
  EXPECT_EQ(await_address("job-1", in(0ms)), "h:2");
}

TEST_F(PublicationTest, DeadLeadersFilesAreTakenAway) {
  publish_and_die("job-1", "h:1");
  publish_and_die("job-2", "h:1");
  { const Publication publication = publish_address("job-3", "h:3"); }
  EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(PublicationTest, SecondLeaderOfAJobIsAnError) {
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready) + ::pipe(done), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(done[1]);
    const Publication publication = publish_address("job-1", "h:1");
    char byte = 0;
    if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) != 0) ::_exit(1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  expect_error(Code::kAlreadyExists, {"h:1", std::to_string(child)},
               [] { publish_address("job-1", "h:2"); });
  ::close(done[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  for (const int end : {ready[0], ready[1], done[0]}) ::close(end);
}

TEST_F(PublicationTest, FolderThatOthersMayWriteIsRefused) {
  const fs::path folder = base_ / ("cohort-" + std::to_string(::geteuid()) + "-job-1");
  fs::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0777), 0);
  expect_error(Code::kPermissionDenied, {folder.string()}, [] { publish_address("job-1", "h:1"); });
  expect_error(Code::kPermissionDenied, {folder.string()}, [] { await_address("job-1", in(0ms)); });
}

TEST_F(PublicationTest, SymbolicLinksAreNotFollowed) {
  const fs::path folder = base_ / ("cohort-" + std::to_string(::geteuid()) + "-job-1");
  fs::create_directory(base_ / "elsewhere");
  fs::create_directory_symlink(base_ / "elsewhere", folder);
  expect_error(Code::kPermissionDenied, {folder.string()}, [] { publish_address("job-1", "h:1"); });
  fs::remove(folder);
  fs::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0700), 0);
  std::ofstream(base_ / "planted") << "evil:1 1 " << process_start(1) << "\n";
  fs::create_symlink(base_ / "planted", folder / "leader");
  expect_error(Code::kDeadlineExceeded, {"job-1"}, [] { await_address("job-1", in(0ms)); });
}

TEST_F(PublicationTest, GarbageInTheFileCountsAsAbsent) {
  const fs::path folder = base_ / ("cohort-" + std::to_string(::geteuid()) + "-job-1");
  fs::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0700), 0);
  for (const std::string text :
       {"", "h:1", "h:1 x y\n", "h:1 1\n", "h:1 99999999999999999999 1\n"}) {
    std::ofstream(folder / "leader", std::ios::trunc) << text;
    expect_error(Code::kDeadlineExceeded, {"job-1"}, [] { await_address("job-1", in(0ms)); });
  }
}

TEST_F(PublicationTest, AStopEndsTheWait) {
  std::stop_source source;
  source.request_stop();
  testing::expect_error(Code::kCancelled, {"stopped"}, [&] {
    await_address("never", std::chrono::steady_clock::now() + std::chrono::hours(1),
                  source.get_token());
  });
}

TEST_F(PublicationTest, WrongArgumentsAreErrors) {
  expect_invalid({"job id"}, [] { publish_address("", "h:1"); });
  expect_invalid({"host:port"}, [] { publish_address("job-1", ""); });
  expect_invalid({"host:port"}, [] { publish_address("job-1", "h:1 2"); });
}

TEST(ProcessIdentityTest, LivingProcessHasABeginning) {
  EXPECT_NE(process_start(::getpid()), "");
  EXPECT_EQ(process_start(::getpid()), process_start(::getpid()));
  EXPECT_EQ(process_start(0), "");
}

}  // namespace
}  // namespace cohort::cluster
