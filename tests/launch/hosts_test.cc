#include "launch/hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::launch {
namespace {

using cohort::testing::expect_invalid;
using ::testing::ElementsAre;

TEST(HostsTest, ListNamesHostsAndSlots) {
  EXPECT_THAT(parse_hosts("a,b:2"), ElementsAre(Host{"a", 1}, Host{"b", 2}));
  EXPECT_THAT(parse_hosts("user@node-1.example.com:16"),
              ElementsAre(Host{"user@node-1.example.com", 16}));
}

TEST(HostsTest, FileHasAHostPerLine) {
  EXPECT_THAT(parse_hostfile("# cluster\na\n\n  b slots=2  # big\nc:3\n"),
              ElementsAre(Host{"a", 1}, Host{"b", 2}, Host{"c", 3}));
}

TEST(HostsTest, MalformedListsAreErrors) {
  for (const char* list : {"", ",", "a,", "a:", "a:0", "a:x", "a:-1", "a:99999", "a b",
                           "-oProxyCommand=x", "a;rm", "$(x)", "a:1:2"})
    expect_invalid({"hosts"}, [&] { parse_hosts(list); });
  for (const char* file :
       {"", "# nothing\n", "a slots=\n", "a slots=0\n", "a cpus=2\n", "a slots=2 x\n", "-a\n"})
    expect_invalid({"host"}, [&] { parse_hostfile(file); });
}

TEST(HostsTest, LocalhostIsThisHost) {
  EXPECT_TRUE(is_this_host("localhost"));
  EXPECT_FALSE(is_this_host("no-such-host.invalid"));
}

}  // namespace
}  // namespace cohort::launch
