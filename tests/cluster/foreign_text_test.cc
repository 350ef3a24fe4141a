#include "cohort/cluster/foreign_text.h"

#include <gmock/gmock.h>

#include <random>

namespace cohort::cluster {
namespace {

TEST(ForeignTextTest, OrdinaryTextStaysAsItIs) {
  EXPECT_EQ(printable("host worker-1, process 4711", 100), "host worker-1, process 4711");
  EXPECT_EQ(printable("größer als 3 µs → 模型 🙂", 100),
            "größer als 3 µs → 模型 🙂");
  EXPECT_EQ(printable("", 100), "");
}

TEST(ForeignTextTest, WhatMovesATerminalIsEscaped) {
  EXPECT_EQ(printable("\x1b[2J\r\n[worker 0] x\t\x7f", 100), "\\x1b[2J\\r\\n[worker 0] x\\t\\x7f");
  EXPECT_EQ(printable(std::string("a\0b", 3), 100), "a\\x00b");
  EXPECT_EQ(printable("\u009b31m", 100), "\\x9b31m") << "a control sequence of one character";
  EXPECT_EQ(printable("a\u202eb\u2066c\u2028d\ufeffe", 100), "a\\u202eb\\u2066c\\u2028d\\ufeffe");
}

TEST(ForeignTextTest, BytesThatAreNoUtf8AreEscaped) {
  EXPECT_EQ(printable("\xff\xc0\xaf", 100), "\\xff\\xc0\\xaf");
  EXPECT_EQ(printable("\xc3", 100), "\\xc3") << "ends early";
  EXPECT_EQ(printable("\xed\xa0\x80", 100), "\\xed\\xa0\\x80") << "half of a pair of UTF-16";
  EXPECT_EQ(printable("\xf4\x90\x80\x80", 100), "\\xf4\\x90\\x80\\x80") << "past U+10FFFF";
  EXPECT_EQ(printable("\xe0\x80\xaf", 100), "\\xe0\\x80\\xaf") << "a long form of /";
}

TEST(ForeignTextTest, LongTextIsCutBetweenCharacters) {
  EXPECT_EQ(printable(std::string(600'000, 'A'), 10), "AAAAAAAAAA... (600000 bytes)");
  EXPECT_EQ(printable("ab\u00e4", 3), "ab... (4 bytes)");
  EXPECT_EQ(printable("ab\n", 3), "ab... (3 bytes)");
}

TEST(ForeignTextTest, ErrorsKeepTheirLines) {
  EXPECT_EQ(printable_lines("a:\n\tb\x1b[31m", 100), "a:\n\tb\\x1b[31m");
}

TEST(ForeignTextTest, NoBytesGetThroughThatMoveATerminal) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 100, '\0');
    for (char& c : text) c = static_cast<char>(random());
    const std::string shown = printable(text, 64);
    EXPECT_LE(shown.size(), 64u + 40);
    for (const char c : shown) {
      EXPECT_GE(static_cast<unsigned char>(c), 0x20);
      EXPECT_NE(c, '\x7f');
    }
    EXPECT_EQ(printable(shown, 1000), shown) << "it is valid UTF-8";
  }
}

}  // namespace
}  // namespace cohort::cluster
