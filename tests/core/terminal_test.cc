#include "cohort/core/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/expect_error.h"
#include "tests/support/screen.h"

namespace cohort {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Rows = std::vector<std::string>;
using testing::Screen;
using testing::TerminalScope;
using testing::VariableScope;

constexpr size_t kNoLimit = 1000;

std::string cut(std::string_view text, size_t columns) {
  std::string out;
  append_columns(out, text, columns);
  return out;
}

Rows shown(std::string_view text) {
  Screen screen(kNoLimit);
  screen.write(text);
  return screen.rows();
}

TEST(TerminalTest, CutsBetweenCharactersWhateverTheirWidth) {
  const std::string text =
      "\x1b[1m12/40\x1b[0m ━━━ loss: 0.5 - 精度: 0.9 - e\u0301\u0301te\u0301: 1 - 한국 - "
      "🙂🙂 "
      "- end";
  const std::string all = shown(text).at(0);
  for (size_t columns = 1; columns < 80; ++columns) {
    Screen screen(columns);
    screen.write(cut(text, columns));
    ASSERT_EQ(screen.rows().size(), 1u) << columns;
    EXPECT_THAT(all, StartsWith(screen.rows()[0])) << columns;
    EXPECT_GE(screen.cursor_column() + 1, std::min<size_t>(columns, 50)) << "as much as fits";
  }
  EXPECT_EQ(cut(text, 0), "\x1b[1m\x1b[0m") << "colours end as they began";
}

TEST(TerminalTest, WhatTerminalsShowWiderThanTheirTablesSayIsNotTooWide) {
  EXPECT_EQ(cut("❤\ufe0fab", 3), "❤\ufe0fa");        // one column, and two as an emoji
  EXPECT_EQ(cut("\U0001fae9ab", 3), "\U0001fae9a");  // newer than many tables
}

TEST(TerminalTest, WhatIsNoCharacterBecomesAQuestionMark) {
  EXPECT_EQ(cut("a\nb\tc\rd\x07", 20), "a?b?c?d?");
  EXPECT_EQ(cut("a\x1b[2Jb\x1b", 20), "a?[2Jb?");
  EXPECT_EQ(cut("a\xff\xe7\xb2z\xc2\x85", 20), "a???z?");
  EXPECT_EQ(cut("a\x1b[1;32mb", 20), "a\x1b[1;32mb");
}

TEST(TerminalTest, ALineThatIsDrawnAgainTakesOneRow) {
  for (const size_t columns : {1, 2, 10, 40, 60, 79, 80, 81, 200}) {
    TerminalScope terminal(columns);
    std::vector<Rows> seen;
    size_t furthest = 0;
    std::printf("before\n");
    for (int i = 0; i < 30; ++i) {
      draw_line(std::to_string(i) + std::string(static_cast<size_t>(120 - 3 * i), '='));
      seen.push_back(terminal.rows());
      furthest = std::max(furthest, terminal.screen().cursor_column());
    }
    end_line("done");
    const Rows last = terminal.rows();
    const size_t before = (6 + columns - 1) / columns;  // rows that the first line takes
    for (const Rows& rows : seen) EXPECT_LE(rows.size(), before + 1) << columns;
    EXPECT_LT(furthest, columns) << "the last column is free";
    if (columns < 10) continue;
    EXPECT_THAT(last, ElementsAre("before", "done")) << columns;
  }
}

TEST(TerminalTest, ALineFollowsTheTerminalsSize) {
  const std::string text(150, 'x');
  TerminalScope terminal(80);
  std::vector<Rows> seen;
  for (const size_t columns : {80, 60, 33, 100, 20}) {
    terminal.resize(columns);
    for (int i = 0; i < 3; ++i) draw_line(text);
    seen.push_back(terminal.rows());
  }
  leave_line();
  EXPECT_THAT(seen, ElementsAre(Rows{text.substr(0, 79)}, Rows{text.substr(0, 59)},
                                Rows{text.substr(0, 32)}, Rows{text.substr(0, 99)},
                                Rows{text.substr(0, 19)}));
}

TEST(TerminalTest, ALineEndsWhole) {
  for (const size_t length : {5, 39, 40, 41, 80, 100}) {
    const std::string text(length, 'x');
    TerminalScope terminal(40);
    draw_line(std::string(70, 'y'));
    end_line(text);
    std::printf("next\n");
    const Rows rows = terminal.rows();
    Rows want;
    for (size_t begin = 0; begin < length; begin += 40) want.push_back(text.substr(begin, 40));
    want.push_back("next");
    EXPECT_EQ(rows, want);
  }
}

TEST(TerminalTest, WhatIsSaidStandsAboveTheLine) {
  TerminalScope terminal(40);
  draw_line(std::string(30, 'x'));
  say(stderr, "warning: a\nof two lines\n");
  say(stdout, "b\n");
  const Rows open = terminal.rows();
  const Screen screen = terminal.screen();
  end_line("done");
  say(stderr, "c\n");
  const Rows rows = terminal.rows();
  EXPECT_THAT(open, ElementsAre("warning: a", "of two lines", "b", std::string(30, 'x')));
  EXPECT_EQ(screen.cursor_row(), 3u);
  EXPECT_EQ(screen.cursor_column(), 30u);
  EXPECT_THAT(rows, ElementsAre("warning: a", "of two lines", "b", "done", "c"));
}

TEST(TerminalTest, AnOpenLineCanBeLeft) {
  TerminalScope terminal(40);
  leave_line();  // none is open
  draw_line("half");
  leave_line();
  leave_line();
  say(stdout, "next\n");
  const Rows rows = terminal.rows();
  EXPECT_THAT(rows, ElementsAre("half", "next"));
}

TEST(TerminalTest, WhatIsSaidElsewhereLeavesTheLineAlone) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  TerminalScope terminal(40);
  draw_line("half");
  const std::string before = terminal.bytes();
  say(file, "a line\n");
  const std::string after = terminal.bytes();
  leave_line();
  EXPECT_EQ(after, before);
  std::rewind(file);
  char text[100] = {};
  EXPECT_STREQ(std::fgets(text, sizeof text, file), "a line\n");
  std::fclose(file);
}

TEST(TerminalTest, ColumnsAreTheTerminalsElseWhatIsSaidElse80) {
  const auto columns = [](size_t terminals, const char* variable) {
    const VariableScope scope("COLUMNS", variable);
    const TerminalScope terminal(terminals);
    return stdout_columns();
  };
  EXPECT_EQ(columns(123, "44"), 123u);
  EXPECT_EQ(columns(0, "44"), 44u);  // a pseudo-terminal to which nobody gave a size
  EXPECT_EQ(columns(0, "-1"), 80u);
  EXPECT_EQ(columns(0, "wide"), 80u);
  EXPECT_EQ(columns(0, nullptr), 80u);
}

/// Without a launcher, whoever runs the tests.
class StdoutIsTerminalTest : public ::testing::Test {
 protected:
  bool answer(const char* name = "COHORT_TERMINAL", const char* value = nullptr) {
    const VariableScope scope(name, value);
    const TerminalScope terminal(80);
    return stdout_is_terminal();
  }

  const VariableScope none_[7] = {{"COHORT_TERMINAL", nullptr}, {"COHORT_RESTART_COUNT", nullptr},
                                  {"PMI_RANK", nullptr},        {"OMPI_COMM_WORLD_RANK", nullptr},
                                  {"PMIX_RANK", nullptr},       {"SLURM_PROCID", nullptr},
                                  {"SLURM_PTY_PORT", nullptr}};
};

TEST_F(StdoutIsTerminalTest, OfAPersonNotOfALauncher) {
  EXPECT_TRUE(answer());
  for (const char* name :
       {"COHORT_RESTART_COUNT", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    EXPECT_FALSE(answer(name, "0")) << name;
    const VariableScope asked("COHORT_TERMINAL", "1");
    EXPECT_TRUE(answer(name, "0")) << name;
  }
  const VariableScope pty("SLURM_PTY_PORT", "1234");  // srun --pty
  EXPECT_TRUE(answer("SLURM_PROCID", "0"));
  EXPECT_FALSE(answer("OMPI_COMM_WORLD_RANK", "0")) << "mpirun in the shell that srun gave";
}

TEST_F(StdoutIsTerminalTest, AsAskedFor) {
  EXPECT_FALSE(answer("COHORT_TERMINAL", "0"));
  EXPECT_TRUE(answer("COHORT_TERMINAL", "1"));
  EXPECT_TRUE(answer("COHORT_TERMINAL", ""));
  const VariableScope odd("COHORT_TERMINAL", "yes");
  testing::expect_invalid({"COHORT_TERMINAL: got \"yes\"; want 0, 1"},
                          [] { stdout_is_terminal(); });
}

TEST_F(StdoutIsTerminalTest, NotAFileWhateverIsAskedFor) {
  const VariableScope asked("COHORT_TERMINAL", "1");
  std::fflush(stdout);
  const int before = ::dup(STDOUT_FILENO);
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  ::dup2(::fileno(file), STDOUT_FILENO);
  const bool is = stdout_is_terminal();
  ::dup2(before, STDOUT_FILENO);
  ::close(before);
  std::fclose(file);
  EXPECT_FALSE(is);
}

}  // namespace
}  // namespace cohort
