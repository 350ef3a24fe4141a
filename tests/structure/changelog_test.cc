#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "cohort/core/version.h"

namespace cohort::structure {
namespace {

TEST(ChangelogTest, BeginsWithTheVersionOfTheProject) {
  std::ifstream file(std::string(COHORT_SOURCE_DIR) + "/CHANGELOG.md");
  ASSERT_TRUE(file);
  std::string line;
  while (std::getline(file, line) && !line.starts_with("## ")) continue;
  ASSERT_TRUE(file) << "no line begins with \"## \"";
  EXPECT_EQ(line.substr(3, line.find(' ', 3) - 3), COHORT_VERSION);
}

}  // namespace
}  // namespace cohort::structure
