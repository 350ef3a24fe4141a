#include "cohort/cluster/failure_record.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "cohort/cluster/failure_report.h"

namespace cohort::cluster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const FailureRecord kRecord{.task = "/job:worker/task:3",
                            .own = true,
                            .code = Code::kDataLoss,
                            .text = "a \"b\"\n\033[1m\tä",
                            .time_ns = 1'700'000'000'000'000'001};

TEST(FailureRecordTest, ALineGivesTheRecordBack) {
  const std::string line = to_line(kRecord);
  EXPECT_THAT(line, Not(HasSubstr("\n")));
  EXPECT_THAT(line, Not(HasSubstr("\033")));
  const auto parsed = parse_failure_record(line);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->task, kRecord.task);
  EXPECT_TRUE(parsed->own);
  EXPECT_EQ(parsed->code, Code::kDataLoss);
  EXPECT_EQ(parsed->text, kRecord.text);
  EXPECT_EQ(parsed->time_ns, kRecord.time_ns);
}

TEST(FailureRecordTest, LongOrBrokenTextIsClippedAndMended) {
  const auto parsed = parse_failure_record(to_line({.text = "\xff" + std::string(9000, 'x')}));
  ASSERT_TRUE(parsed);
  EXPECT_GE(parsed->text.size(), 1999u);
  EXPECT_LE(parsed->text.size(), 2002u);  // three bytes stand for the broken one
}

TEST(FailureRecordTest, OtherLinesAreNone) {
  for (const char* line :
       {"", "x", "{}", "[1]", "null", R"({"task":1,"own":true,"code":2,"text":"","time_ns":0})",
        R"({"task":"","own":true,"code":"2","text":"","time_ns":0})",
        R"({"task":"","own":true,"code":2,"text":"","time_ns":0)"})
    EXPECT_FALSE(parse_failure_record(line)) << line;
  EXPECT_EQ(parse_failure_record(R"({"task":"","own":true,"code":99,"text":"","time_ns":0})")->code,
            Code::kUnknown);
}

// A pipe, and what its writer is called for a FailureReport.
class FailureReportTest : public ::testing::Test {
 protected:
  FailureReportTest() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~FailureReportTest() override {
    for (const int end : ends_) ::close(end);
  }
  std::string name(int inode_off = 0) const {
    struct stat about {};
    ::fstat(ends_[1], &about);
    return std::to_string(ends_[1]) + ":" +
           std::to_string(about.st_ino + static_cast<unsigned>(inode_off));
  }
  FailureReport report(const std::string& where) const {
    return FailureReport(Environment({{kFailurePipeVariable, where}}));
  }
  std::string written() {
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::array<char, 8192> buffer;
    const ssize_t size = ::read(ends_[0], buffer.data(), buffer.size());
    return {buffer.data(), static_cast<size_t>(std::max<ssize_t>(0, size))};
  }
  std::array<int, 2> ends_{};
};

TEST_F(FailureReportTest, WritesTheRecordToTheInheritedPipe) {
  report(name()).write(kRecord);
  const std::string text = written();
  ASSERT_TRUE(text.ends_with("\n"));
  const auto parsed = parse_failure_record(text.substr(0, text.size() - 1));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text, kRecord.text);
  EXPECT_GT(parsed->time_ns, kRecord.time_ns) << "the time of writing";
  EXPECT_TRUE(::fcntl(ends_[1], F_GETFD) & FD_CLOEXEC);
}

TEST_F(FailureReportTest, AnotherFileUnderTheNumberIsLeftAlone) {
  report(name(1)).write(kRecord);
  report("").write(kRecord);
  report("7").write(kRecord);
  report("999999:1").write(kRecord);
  EXPECT_EQ(written(), "");
}

TEST_F(FailureReportTest, AReaderThatHasGoneIsNoError) {
  const FailureReport to = report(name());
  ::close(ends_[0]);
  to.write(kRecord);
  ends_[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace
}  // namespace cohort::cluster
