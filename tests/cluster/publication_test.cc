#include "cohort/cluster/publication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cohort/core/process_identity.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

namespace fs = std::filesystem;
using cohort::testing::expect_error;
using cohort::testing::expect_invalid;

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

TEST_F(PublicationTest, WhatWasPublishedIsRead) {
  const Publication publication = publish_address("job-1", "127.0.0.1:4242");
  EXPECT_EQ(published_address("job-1"), "127.0.0.1:4242");
}

TEST_F(PublicationTest, NothingIsThereBeforeItIsPublished) {
  EXPECT_EQ(published_address("job-1"), std::nullopt);
  EXPECT_THAT(publication_path("job-1"), ::testing::StartsWith(base_.string()));
  const Publication publication = publish_address("job-1", "127.0.0.1:4242");
  EXPECT_EQ(publication.path(), publication_path("job-1"));
}

TEST_F(PublicationTest, JobsAreKeptApart) {
  const Publication a = publish_address("a/b", "h:1");
  const Publication b = publish_address("a_b", "h:2");
  const Publication c = publish_address(std::string(300, 'x') + "1", "h:3");
  const Publication d = publish_address(std::string(300, 'x') + "2", "h:4");
  EXPECT_EQ(published_address("a/b"), "h:1");
  EXPECT_EQ(published_address("a_b"), "h:2");
  EXPECT_EQ(published_address(std::string(300, 'x') + "1"), "h:3");
  EXPECT_EQ(published_address(std::string(300, 'x') + "2"), "h:4");
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
  EXPECT_EQ(published_address("job-1"), "h:1");
}

TEST_F(PublicationTest, DeadLeadersFileIsNotTaken) {
  publish_and_die("job-1", "h:1");
  EXPECT_EQ(published_address("job-1"), std::nullopt);
  const Publication publication = publish_address("job-1", "h:2");
  EXPECT_EQ(published_address("job-1"), "h:2");
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
  expect_error(Code::kPermissionDenied, {folder.string()}, [] { published_address("job-1"); });
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
  EXPECT_EQ(published_address("job-1"), std::nullopt);
}

TEST_F(PublicationTest, GarbageInTheFileCountsAsAbsent) {
  const fs::path folder = base_ / ("cohort-" + std::to_string(::geteuid()) + "-job-1");
  fs::create_directory(folder);
  ASSERT_EQ(::chmod(folder.c_str(), 0700), 0);
  for (const std::string text :
       {"", "h:1", "h:1 x y\n", "h:1 1\n", "h:1 99999999999999999999 1\n"}) {
    std::ofstream(folder / "leader", std::ios::trunc) << text;
    EXPECT_EQ(published_address("job-1"), std::nullopt);
  }
}

// A leader may be killed, or its disk full, at any point of publishing.
TEST_F(PublicationTest, HalfMadeFoldersOfDeadLeadersAreTakenAway) {
  const auto folder = [&](const std::string& job) {
    const fs::path made = base_ / ("cohort-" + std::to_string(::geteuid()) + "-" + job);
    fs::create_directory(made);
    EXPECT_EQ(::chmod(made.c_str(), 0700), 0);
    return made;
  };
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(dead, nullptr, 0), dead);
  folder("empty");
  std::ofstream(folder("draft") / ("draft-" + std::to_string(dead))) << "h:1";
  const fs::path alive = folder("alive") / ("draft-" + std::to_string(::getppid()));
  std::ofstream(alive) << "h:1";
  const fs::path strange = folder("strange") / "notes";
  std::ofstream(strange) << "mine";
  { const Publication publication = publish_address("job-1", "h:1"); }
  EXPECT_TRUE(fs::remove(alive));
  EXPECT_TRUE(fs::remove(strange));
  EXPECT_EQ(std::distance(fs::directory_iterator(base_), fs::directory_iterator()), 2);
}

TEST_F(PublicationTest, WhatCannotBeWrittenLeavesNothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &none);
    try {
      publish_address("job-1", "h:1");
    } catch (const Error& error) {
      const std::string text = error.what();
      ::_exit(error.code() == Code::kResourceExhausted &&
                      text.find(base_.string()) != std::string::npos &&
                      text.find("RLIMIT_FSIZE is 0 bytes") != std::string::npos
                  ? 0
                  : 1);
    }
    ::_exit(2);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(fs::is_empty(base_));
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
