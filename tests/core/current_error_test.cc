#include "cohort/core/current_error.h"

#include <gmock/gmock.h>

#include <new>

namespace cohort {
namespace {

using ::testing::HasSubstr;

template <class Thrown>
Error error_of(const Thrown& thrown) {
  try {
    throw thrown;
  } catch (...) {
    return current_error();
  }
}

TEST(CurrentErrorTest, AnErrorStaysAsItIs) {
  const Error error = error_of(DataLoss("file: got 3 bytes"));
  EXPECT_EQ(error.code(), Code::kDataLoss);
  EXPECT_STREQ(error.what(), "file: got 3 bytes");
}

TEST(ErrorTest, SaysEachPlaceOnce) {
  const Error error = DataLoss("got 3 bytes").within("file").within("file");
  EXPECT_EQ(error.code(), Code::kDataLoss);
  EXPECT_STREQ(error.what(), "file: got 3 bytes");
  EXPECT_STREQ(error.within("fil").what(), "fil: file: got 3 bytes");
  EXPECT_STREQ(error.within("map").within("file").what(), "file: map: file: got 3 bytes");
}

TEST(CurrentErrorTest, AnotherExceptionKeepsItsText) {
  EXPECT_EQ(error_of(std::runtime_error("text")).code(), Code::kUnknown);
  EXPECT_STREQ(error_of(std::runtime_error("text")).what(), "text");
  EXPECT_EQ(error_of(std::bad_alloc()).code(), Code::kResourceExhausted);
  EXPECT_THAT(error_of(std::bad_alloc()).what(), HasSubstr("std::bad_alloc"));
}

TEST(CurrentErrorTest, WhatIsNoExceptionSaysItsTypeAndValue) {
  struct Odd {};
  EXPECT_THAT(error_of(42).what(), HasSubstr("int 42"));
  EXPECT_THAT(error_of("words").what(), HasSubstr("char const* words"));
  EXPECT_THAT(error_of(std::string("words")).what(), HasSubstr("words"));
  EXPECT_THAT(error_of(Odd()).what(), HasSubstr("Odd"));
}

TEST(CurrentErrorTest, TheExceptionGoesOnAsItWas) {
  try {
    try {
      throw 42;
    } catch (...) {
      current_error();
      throw;
    }
  } catch (int value) {
    EXPECT_EQ(value, 42);
  }
}

}  // namespace
}  // namespace cohort
