#include "cohort/core/symbol.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::symbols {
namespace {

using testing::expect_invalid;

const Dim N{std::string("N")}, M{std::string("M")};

TEST(SymbolTest, NumbersStayNumbers) {
  EXPECT_EQ(add(Dim(2), Dim(3)), Dim(5));
  EXPECT_EQ(subtract(Dim(5), Dim(3)), Dim(2));
  EXPECT_EQ(multiply(Dim(2), Dim(3)), Dim(6));
  EXPECT_EQ(divide(Dim(6), Dim(3)), Dim(2));
}

TEST(SymbolTest, EqualExpressionsAreEqualSymbols) {
  EXPECT_EQ(add(N, M), add(M, N));
  EXPECT_EQ(add(N, M).symbol(), "M+N");
  EXPECT_EQ(multiply(add(N, Dim(1)), Dim(2)), add(add(N, N), Dim(2)));
  EXPECT_EQ(multiply(M, multiply(N, Dim(3))).symbol(), "3*M*N");
  EXPECT_EQ(multiply(add(N, M), add(N, M)).symbol(), "M*M+2*M*N+N*N");
}

TEST(SymbolTest, WhatCancelsDisappears) {
  EXPECT_EQ(subtract(add(N, M), M), N);
  EXPECT_EQ(subtract(N, N), Dim(0));
  EXPECT_EQ(add(subtract(N, Dim(1)), Dim(1)), N);
  EXPECT_EQ(multiply(N, Dim(0)), Dim(0));
}

TEST(SymbolTest, SubtractionShowsItsSign) {
  EXPECT_EQ(subtract(N, Dim(3)).symbol(), "N-3");
  EXPECT_EQ(add(subtract(Dim(3), N), Dim(1)).symbol(), "-N+4");
  expect_invalid({"got -1"}, [] { subtract(Dim(2), Dim(3)); });
}

TEST(SymbolTest, DividesOnlyWhatDividesExactly) {
  EXPECT_EQ(divide(multiply(N, Dim(784)), Dim(28)), multiply(N, Dim(28)));
  EXPECT_EQ(divide(multiply(add(N, M), add(N, Dim(1))), add(N, Dim(1))), add(N, M));
  EXPECT_EQ(divide(N, Dim(2)), std::nullopt);
  EXPECT_EQ(divide(N, M), std::nullopt);
  EXPECT_EQ(divide(add(N, Dim(1)), N), std::nullopt);
  EXPECT_EQ(divide(N, Dim(0)), std::nullopt);
}

TEST(SymbolTest, BindsNamesThatItKnows) {
  const Dim derived = add(multiply(N, Dim(2)), subtract(M, Dim(1)));
  EXPECT_EQ(bind(derived, {{"N", 3}, {"M", 5}}), Dim(10));
  EXPECT_EQ(bind(derived, {{"N", 3}}).symbol(), "M+5");
  EXPECT_EQ(bind(Shape{N, 4, multiply(N, M)}, {{"N", 0}, {"M", 7}}), (Shape{0, 4, 0}));
  expect_invalid({"N-3", "-1"}, [] { bind(subtract(N, Dim(3)), {{"N", 2}}); });
}

TEST(SymbolTest, CountsElements) {
  EXPECT_EQ(num_elements(Shape{N, 28, 28}), multiply(N, Dim(784)));
  EXPECT_EQ(num_elements(Shape{2, 3}), Dim(6));
  EXPECT_EQ(num_elements(Shape{}), Dim(1));
}

}  // namespace
}  // namespace cohort::symbols
