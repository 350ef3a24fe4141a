#include "tests/structure/house_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/structure/temporary_tree.h"

namespace cohort::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string repeat(const std::string& line, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += line;
  return text;
}

TEST(StructureTest, TheTreeKeepsTheHouseRules) {
  EXPECT_THAT(broken_house_rules(COHORT_SOURCE_DIR), IsEmpty());
}

TEST(HouseRulesTest, TreeAtTheLimitsHasNoFindings) {
  TemporaryTree tree;
  tree.write("core/README.md", repeat("line\n", 30));
  tree.write("core/error.h", "#pragma once\n#define A\n#define B(x) x\n#define C\n#define D 1\n");
  tree.write("core/version.h", "#pragma once\n#define E 1\n#define F 2\n");
  tree.write("examples/README.md", "one line\n");
  tree.write("examples/mnist.cc", "std::printf(\"a\");\n" + repeat("\n", 149));
  tree.write("docs/guide.md", repeat("line\n", 100));
  EXPECT_THAT(broken_house_rules(tree.root()), IsEmpty());
}

TEST(HouseRulesTest, EachBrokenRuleIsFound) {
  TemporaryTree tree;
  tree.write("core/README.md", repeat("line\n", 31));
  tree.write("core/error.h", "#define A\n#define B(x) x\n#define C\n#define D 1\n#define E\n");
  tree.write("core/warn.cc", "  std::fprintf(stderr, \"a\");\n");
  tree.write("examples/mnist.cc", repeat("\n", 151));
  EXPECT_THAT(broken_house_rules(tree.root()),
              ElementsAre(HasSubstr(".: at most 4 macros, here are: A B C D E"),
                          HasSubstr("core/README.md: more than 30 lines"),
                          HasSubstr("core/error.h: has no #pragma once"),
                          HasSubstr("core/warn.cc: prints past cohort::say()"),
                          HasSubstr("examples/mnist.cc: more than 150 lines"),
                          HasSubstr("examples: has no README.md")));
}

TEST(HouseRulesTest, AnUnmonitoredWaitForADeviceIsFound) {
  TemporaryTree tree;
  tree.write("kernels/README.md", "one line\n");
  tree.write("kernels/cuda/wait.cc", "  cudaStreamSynchronize(stream);\n");
  tree.write("kernels/cuda/copy.cc", "  cudaEventSynchronize(event);\n");
  EXPECT_THAT(broken_house_rules(tree.root()),
              ElementsAre(HasSubstr("kernels/cuda/copy.cc: cudaEventSynchronize()")));
}

}  // namespace
}  // namespace cohort::structure
