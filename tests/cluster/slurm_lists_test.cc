#include "cohort/cluster/slurm_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_invalid;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

TEST(SlurmListsTest, HostlistsAreExpandedInOrder) {
  EXPECT_THAT(expand_hostlist("n1"), ElementsAre("n1"));
  EXPECT_THAT(expand_hostlist("n[1,3]"), ElementsAre("n1", "n3"));
  EXPECT_THAT(expand_hostlist("n[1-3]"), ElementsAre("n1", "n2", "n3"));
  EXPECT_THAT(expand_hostlist("n[1-2],m5,o[3-4,6,7-9]"),
              ElementsAre("n1", "n2", "m5", "o3", "o4", "o6", "o7", "o8", "o9"));
}

TEST(SlurmListsTest, LeadingZerosAreKept) {
  EXPECT_THAT(expand_hostlist("n[0001-0003],m5,o[009-011]"),
              ElementsAre("n0001", "n0002", "n0003", "m5", "o009", "o010", "o011"));
}

TEST(SlurmListsTest, NodeTenComesAfterNodeNine) {
  EXPECT_THAT(expand_hostlist("n[9-10]"), ElementsAre("n9", "n10"));
  EXPECT_THAT(expand_hostlist("z1,a1"), ElementsAre("z1", "a1"));
}

TEST(SlurmListsTest, NamesMayHaveSeveralRangesAndAnEnding) {
  EXPECT_THAT(expand_hostlist("r[1-2]n[3-4]"), ElementsAre("r1n3", "r1n4", "r2n3", "r2n4"));
  EXPECT_THAT(expand_hostlist("n[1-2].example.com"),
              ElementsAre("n1.example.com", "n2.example.com"));
}

TEST(SlurmListsTest, MalformedHostlistsAreErrors) {
  for (const char* list : {"", ",", "n1,", ",n1", "n[1-3", "n1]", "n[]", "n[3-1]", "n[1-]", "n[-1]",
                           "n[1--3]", "n[a-b]", "n[1,,2]", "n[[1]]", "n 1", "n[1 -2]", "n1;rm"})
    expect_invalid({"Invalid hostlist format"}, [&] { expand_hostlist(list); });
}

TEST(SlurmListsTest, ListsThatWouldFillMemoryAreRefused) {
  for (const char* list :
       {"n[1-4000000000]", "n[1-99999999999999999999]", "n[0-65536]", "a[1-999]b[1-999]",
        "a[1-60000],b[1-60000]", "a[1-99]b[1-99]c[1-99]d[1-99]e[1-99]f[1-99]g[1-99]h[1-99]"})
    expect_invalid({"Invalid hostlist format"}, [&] { expand_hostlist(list); });
  expect_invalid({"255"}, [] { expand_hostlist(std::string(300, 'n') + "[1-60000]"); });
  expect_invalid({"255"}, [] { expand_hostlist("n[" + std::string(300, '0') + "-9]"); });
  EXPECT_EQ(expand_hostlist("n[1-65536]").size(), 65536u);
  for (const char* list :
       {"1(x4000000000)", "4000000000", "1048576(x2)", "1(x65537)", "1000(x2000)"})
    expect_invalid({"Invalid tasks-per-node list format"}, [&] { expand_tasks_per_node(list); });
}

TEST(SlurmListsTest, TaskCountsAreExpandedInOrder) {
  EXPECT_THAT(expand_tasks_per_node("2"), ElementsAre(2));
  EXPECT_THAT(expand_tasks_per_node("2,1,3"), ElementsAre(2, 1, 3));
  EXPECT_THAT(expand_tasks_per_node("3(x2),2,1"), ElementsAre(3, 3, 2, 1));
  EXPECT_THAT(expand_tasks_per_node("3(x2),2,11(x4)"), ElementsAre(3, 3, 2, 11, 11, 11, 11));
  EXPECT_THAT(expand_tasks_per_node("13(x10)"), ElementsAreArray(std::vector<int>(10, 13)));
}

TEST(SlurmListsTest, MalformedTaskCountsAreErrors) {
  for (const char* list :
       {"", "3(x", "a", "3(x)", "3(2)", "3,", ",3", "3(x2", "-1", "3(x-1)", "3 "})
    expect_invalid({"Invalid tasks-per-node list format"}, [&] { expand_tasks_per_node(list); });
}

}  // namespace
}  // namespace cohort::cluster
