#include "cohort/core/version.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cohort {
namespace {

TEST(VersionTest, LibraryHasTheVersionOfItsHeaders) { EXPECT_EQ(version(), COHORT_VERSION); }

TEST(VersionTest, NumbersMakeUpTheText) {
  EXPECT_EQ(COHORT_VERSION, fmt::format("{}.{}.{}", COHORT_VERSION_MAJOR, COHORT_VERSION_MINOR,
                                        COHORT_VERSION_PATCH));
}

TEST(VersionTest, TheBuildHasTheSameOne) { EXPECT_STREQ(COHORT_VERSION, COHORT_PROJECT_VERSION); }

}  // namespace
}  // namespace cohort
