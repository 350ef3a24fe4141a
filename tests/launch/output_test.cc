#include "launch/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace cohort::launch {
namespace {

using ::testing::ElementsAre;

// What a Sink writes.
class OutputTest : public ::testing::Test {
 protected:
  OutputTest() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~OutputTest() override {
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }
  std::string written(Sink& sink) {
    std::string text;
    std::array<char, 4096> buffer;
    while (!sink.empty()) {
      sink.write_some();
      text.append(buffer.data(), ::read(ends_[0], buffer.data(), buffer.size()));
    }
    return text;
  }
  std::array<int, 2> ends_{-1, -1};
};

TEST_F(OutputTest, LinesHaveTheWorkersName) {
  Sink sink(ends_[1]);
  LineReader reader("[worker 1] ", sink);
  reader.read("one\ntw");
  reader.read("o\n\nthree");
  reader.finish();
  EXPECT_EQ(written(sink), "[worker 1] one\n[worker 1] two\n[worker 1] \n[worker 1] three\n");
}

TEST_F(OutputTest, EndlessLineIsCut) {
  Sink sink(ends_[1]);
  LineReader reader("", sink);
  reader.read(std::string(200'000, 'x'));
  reader.finish();
  const std::string text = written(sink);
  EXPECT_EQ(std::count(text.begin(), text.end(), 'x'), 200'000);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
}

TEST_F(OutputTest, LastLinesAreRemembered) {
  Sink sink(ends_[1]);
  LineReader reader("", sink);
  for (int i = 0; i < 100; ++i) reader.read("line " + std::to_string(i) + "\n");
  EXPECT_EQ(reader.last_lines().size(), 20u);
  EXPECT_EQ(reader.last_lines().front(), "line 80");
  EXPECT_EQ(reader.last_lines().back(), "line 99");
}

TEST_F(OutputTest, ReaderThatHasGoneDropsTheRest) {
  ::signal(SIGPIPE, SIG_IGN);
  ::close(ends_[0]);
  ends_[0] = -1;
  Sink sink(ends_[1]);
  sink.append("text");
  sink.write_some();
  EXPECT_TRUE(sink.empty());
  sink.append("more");
  EXPECT_TRUE(sink.empty());
}

}  // namespace
}  // namespace cohort::launch
