#include "cohort/distribute/host_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using ::testing::ElementsAre;

TEST(HostTableTest, EqualHostsAndCoresHaveEqualNumbers) {
  const std::vector<std::string> told{"b\n0,1,", "a\n0,1,", "b\n2,3,", "b\n0,1,", "a"};
  const HostTable table = HostTable::parse(HostTable::of(told).to_string(), 5);
  EXPECT_THAT(table.host_of, ElementsAre(0, 1, 0, 0, 1));
  EXPECT_EQ(table.sharing_cores(0), 2);
  EXPECT_EQ(table.sharing_cores(1), 1);
  EXPECT_EQ(table.sharing_cores(2), 1);
  EXPECT_EQ(table.sharing_cores(3), 2);
  EXPECT_EQ(table.sharing_cores(4), 1);
}

TEST(HostTableTest, ATextThatIsNoTableIsRefused) {
  for (const char* text : {"", "0 0\n", "0 0\n1\n", "0 0\n1 1", "0 0\n1 -1\n", "0 0\n1 x\n",
                           "0 0\n1 1\n2 2\n", "0 0 1 1\n"})
    testing::expect_error(Code::kDataLoss, {"hosts"}, [&] { HostTable::parse(text, 2); });
}

}  // namespace
}  // namespace cohort::distribute
