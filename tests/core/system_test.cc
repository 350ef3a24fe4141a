#include "cohort/core/system.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace cohort {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// What is true in a process of its own, in which a limit may be set.
void expect_in_child(const std::function<bool()>& claim) {
  const pid_t child = fork();
  if (child == 0) _exit(claim() ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

bool set_limit(decltype(RLIMIT_NOFILE) resource, rlim_t soft) {
  rlimit limit{};
  getrlimit(resource, &limit);
  limit.rlim_cur = soft;
  return setrlimit(resource, &limit) == 0;
}

TEST(SystemTest, TheSoftLimitOfDescriptorsIsRaisedToTheHardOne) {
  expect_in_child([] {
    if (!set_limit(RLIMIT_NOFILE, 20)) return false;
    prepare_process();
    rlimit limit{};
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == limit.rlim_max;
  });
}

TEST(SystemTest, ClosedStandardDescriptorsAreOpenedToTheNullDevice) {
  expect_in_child([] {
    for (int fd = 0; fd < 3; ++fd) close(fd);
    prepare_process();
    struct stat null {
    }, mine{};
    if (stat("/dev/null", &null) != 0) return false;
    for (int fd = 0; fd < 3; ++fd)
      if (fstat(fd, &mine) != 0 || mine.st_rdev != null.st_rdev) return false;
    return open("/dev/zero", O_RDONLY) > 2;
  });
}

TEST(SystemTest, OpenStandardDescriptorsStayWhatTheyAre) {
  expect_in_child([] {
    int ends[2];
    if (pipe(ends) != 0 || dup2(ends[1], 1) != 1) return false;
    close(0);
    prepare_process();
    char byte = 'x';
    return write(1, &byte, 1) == 1 && read(ends[0], &byte, 1) == 1 && read(0, &byte, 1) == 0;
  });
}

TEST(SystemTest, AShortageNamesItsLimit) {
  expect_in_child([] {
    const std::string text =
        set_limit(RLIMIT_NOFILE, 20) ? system_error("here", EMFILE, 3).what() : "";
    return text ==
           "here: Too many open files (RLIMIT_NOFILE is 20; want about 112)";  // 64 + 3 * 16
  });
  expect_in_child([] {
    if (!set_limit(RLIMIT_AS, rlim_t{4} << 30)) return false;
    const std::string limit = "RLIMIT_AS is 4294967296 bytes";
    return system_reason(ENOMEM).find(limit) != std::string::npos &&
           describe(std::bad_alloc()).find(limit) != std::string::npos;
  });
  EXPECT_EQ(system_error("here", EMFILE).code(), Code::kResourceExhausted);
  EXPECT_EQ(system_error("here", ENOSPC).code(), Code::kResourceExhausted);
  EXPECT_EQ(system_error("here", ECONNREFUSED).code(), Code::kUnavailable);
  EXPECT_STREQ(system_error("here", ECONNREFUSED).what(), "here: Connection refused");
}

TEST(SystemTest, ThreadsThatCannotBeMadeNameTheirLimits) {
  const std::system_error error(std::make_error_code(std::errc::resource_unavailable_try_again));
  EXPECT_THAT(describe(error), HasSubstr("RLIMIT_NPROC is "));
}

TEST(SystemTest, AProgramSaysWhatItCaughtAndFails) {
  EXPECT_EQ(run_program("program", [] { return 7; }), 7);
  const auto said = [](const std::function<int()>& body) {
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(run_program("program", body), 1);
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(said([]() -> int { throw InvalidArgument("a: got b"); }), "program: a: got b\n");
  EXPECT_EQ(said([]() -> int { throw std::runtime_error("other"); }), "program: other\n");
  EXPECT_THAT(said([]() -> int { throw std::bad_alloc(); }),
              AllOf(HasSubstr("program: out of memory"), HasSubstr("bad_alloc")));
  EXPECT_THAT(said([]() -> int { throw 7; }), HasSubstr("program: something was thrown"));
}

}  // namespace
}  // namespace cohort
