#include "cohort/cluster/job_secret.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "cohort/cluster/descriptor.h"
#include "cohort/cluster/shared_secret.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

namespace fs = std::filesystem;
using cohort::testing::expect_error;
using cohort::testing::expect_invalid;

const std::string kJobSecret = "0123456789abcdef-of-a-job";

class JobSecretTest : public ::testing::Test {
 protected:
  JobSecretTest() {
    std::string name = "/tmp/cohort-secret-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~JobSecretTest() override { fs::remove_all(folder_); }

  std::string write_file(const std::string& text, mode_t mode) const {
    const std::string path = folder_ / "secret";
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  fs::path folder_;
};

std::string secret_of(const std::string& name, const std::string& value) {
  return read_job_secret(Environment(std::map<std::string, std::string>{{name, value}}));
}

TEST_F(JobSecretTest, NoneIsGivenWithoutAVariable) {
  EXPECT_EQ(read_job_secret(Environment()), "");
}

TEST_F(JobSecretTest, VariableHoldsIt) {
  EXPECT_EQ(secret_of("COHORT_JOB_SECRET", kJobSecret + "\n"), kJobSecret);
}

TEST_F(JobSecretTest, SecretsThatCanBeGuessedAreRefused) {
  expect_invalid({"6 bytes", "16"}, [] { secret_of("COHORT_JOB_SECRET", "secret"); });
  expect_invalid({"COHORT_JOB_SECRET", "16"},
                 [] { secret_of("COHORT_JOB_SECRET", std::string(5000, 'x')); });
}

TEST_F(JobSecretTest, FileOfThisUserAloneHoldsIt) {
  EXPECT_EQ(secret_of("COHORT_JOB_SECRET_FILE", write_file(kJobSecret + "\n", 0600)), kJobSecret);
  EXPECT_EQ(secret_of("COHORT_JOB_SECRET_FILE", write_file(kJobSecret, 0400)), kJobSecret);
}

TEST_F(JobSecretTest, FileThatOthersCanReadIsRefused) {
  for (const mode_t mode : {0640, 0604, 0660, 0644}) {
    const std::string path = write_file(kJobSecret, mode);
    expect_error(Code::kPermissionDenied, {path, "chmod 0600"},
                 [&] { secret_of("COHORT_JOB_SECRET_FILE", path); });
  }
}

TEST_F(JobSecretTest, FileOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const std::string path = write_file(kJobSecret, 0600);
  ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
  expect_error(Code::kPermissionDenied, {path, "user 65534"},
               [&] { secret_of("COHORT_JOB_SECRET_FILE", path); });
}

TEST_F(JobSecretTest, WhatIsNoFileIsRefused) {
  expect_error(Code::kNotFound, {"/no/such/file", "No such file"},
               [] { secret_of("COHORT_JOB_SECRET_FILE", "/no/such/file"); });
  expect_error(Code::kPermissionDenied, {folder_.string()},
               [&] { secret_of("COHORT_JOB_SECRET_FILE", folder_); });
}

TEST_F(JobSecretTest, LaunchersDescriptorHoldsItAndIsClosed) {
  const int descriptor = secret_descriptor(kJobSecret);
  EXPECT_EQ(::fcntl(descriptor, F_GETFD) & FD_CLOEXEC, 0) << "children inherit it";
  EXPECT_LT(::pwrite(descriptor, "x", 1, 0), 0) << "nobody changes it";
  const Descriptor other(::dup(descriptor));
  EXPECT_EQ(secret_of("COHORT_JOB_SECRET_FD", std::to_string(descriptor) + "@1"), kJobSecret);
  EXPECT_LT(::fcntl(descriptor, F_GETFD), 0);
  EXPECT_EQ(secret_of("COHORT_JOB_SECRET_FD", std::to_string(other.get()) + "@1"), kJobSecret)
      << "as often as there are processes that inherited it";
}

TEST_F(JobSecretTest, DescriptorThatWasClosedOnTheWayIsReadAtTheLauncher) {
  const Descriptor launchers(secret_descriptor(kJobSecret));
  const std::string value = std::to_string(launchers.get()) + "@" + std::to_string(::getpid());
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(launchers.get());
    ::_exit(secret_of("COHORT_JOB_SECRET_FD", value) == kJobSecret ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(JobSecretTest, DescriptorOfSomethingElseIsRefused) {
  const Descriptor file(::open(write_file(kJobSecret, 0600).c_str(), O_RDONLY | O_CLOEXEC));
  const Descriptor memory(::memfd_create("not-sealed", MFD_CLOEXEC));
  for (const int descriptor : {file.get(), memory.get(), 65000})
    expect_invalid({"COHORT_JOB_SECRET_FD", std::to_string(descriptor), "COHORT_JOB_SECRET_FILE"},
                   [&] {
                     secret_of("COHORT_JOB_SECRET_FD",
                               std::to_string(descriptor) + "@" + std::to_string(::getpid()));
                   });
  for (const char* value : {"3", "@", "x@1", "3@x"})
    expect_invalid({"cohort-launch"}, [&] { secret_of("COHORT_JOB_SECRET_FD", value); });
}

TEST_F(JobSecretTest, RandomSecretsDiffer) {
  const std::string secret = random_secret();
  EXPECT_THAT(secret, ::testing::MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(secret.size(), 64u);
  EXPECT_NE(secret, random_secret());
}

// In a process of its own: it changes the environment for good.
TEST_F(JobSecretTest, ProcessTakesItOutOfItsEnvironment) {
  const auto program = [] {
    ::setenv("COHORT_JOB_SECRET", kJobSecret.c_str(), 1);
    const char* value = std::getenv("COHORT_JOB_SECRET");
    bool good = job_secret_of_process() == kJobSecret && job_secret_of_process() == kJobSecret;
    good &= std::getenv("COHORT_JOB_SECRET") == nullptr && *value == '\0';
    std::_Exit(good ? 0 : 1);
  };
  EXPECT_EXIT(program(), ::testing::ExitedWithCode(0), "");
}

class SharedSecretTest : public JobSecretTest {
 protected:
  SharedSecretTest() {
    if (const char* before = std::getenv("XDG_RUNTIME_DIR")) before_ = before;
    ::setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  }
  ~SharedSecretTest() override {
    if (before_)
      ::setenv("XDG_RUNTIME_DIR", before_->c_str(), 1);
    else
      ::unsetenv("XDG_RUNTIME_DIR");
  }

  std::optional<std::string> before_;
};

TEST_F(SharedSecretTest, IsFoundByTheLeadersAddressWhileItLives) {
  EXPECT_EQ(shared_secret("127.0.0.1:4242"), std::nullopt);
  {
    const Publication shared = share_secret("127.0.0.1:4242", kJobSecret);
    EXPECT_EQ(shared_secret("127.0.0.1:4242"), kJobSecret);
    EXPECT_EQ(shared_secret("127.0.0.1:4243"), std::nullopt);
  }
  EXPECT_EQ(shared_secret("127.0.0.1:4242"), std::nullopt);
}

TEST_F(SharedSecretTest, NobodyElseCanReadIt) {
  const Publication shared = share_secret("[::1]:4242", kJobSecret);
  EXPECT_EQ(shared_secret("[::1]:4242"), kJobSecret);
  const fs::path file = shared.path();
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(file.parent_path()).permissions(), fs::perms::owner_all);
}

}  // namespace
}  // namespace cohort::cluster
