#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "cohort/core/error.h"

namespace cohort::testing {

/// Expects `statement()` to throw an Error with `code` whose message contains every one of `parts`.
template <class Statement>
void expect_error(Code code, std::initializer_list<std::string_view> parts, Statement&& statement) {
  try {
    statement();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (std::string_view part : parts)
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "want \"" << part << "\" in: " << error.what();
    return;
  }
  ADD_FAILURE() << "no error; want " << code_name(code);
}

template <class Statement>
void expect_invalid(std::initializer_list<std::string_view> parts, Statement&& statement) {
  expect_error(Code::kInvalidArgument, parts, statement);
}

}  // namespace cohort::testing
