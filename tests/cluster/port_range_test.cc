#include "cohort/cluster/port_range.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

TEST(PortRangeTest, FirstAndLastOrOneAreRead) {
  EXPECT_EQ(parse_port_range("7000-7010"), (PortRange{7000, 7010}));
  EXPECT_EQ(parse_port_range("7000-7000"), (PortRange{7000, 7000}));
  EXPECT_EQ(parse_port_range("7000"), (PortRange{7000, 7000}));
  EXPECT_EQ(parse_port_range("1-65535").to_string(), "1-65535");
  EXPECT_TRUE(PortRange{}.any());
}

TEST(PortRangeTest, AnythingElseIsRefusedByTheVariablesName) {
  for (const char* text : {"", "-", "7000-", "-7000", "7010-7000", "0-10", "0", "7000-65536", "a-b",
                           "7000-7010-7020", " 7000-7010", "7000 - 7010", "7000,7010"}) {
    SCOPED_TRACE(text);
    cohort::testing::expect_invalid({"COHORT_PORT_RANGE", "want first-last", "65535"},
                                    [&] { parse_port_range(text); });
  }
}

}  // namespace
}  // namespace cohort::cluster
