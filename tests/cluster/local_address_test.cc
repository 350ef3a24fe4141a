#include "cohort/cluster/local_address.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

TEST(LocalAddressTest, LoopbackIsReachedFromLoopback) {
  EXPECT_EQ(local_address_towards("127.0.0.1:2222"), "127.0.0.1");
  EXPECT_EQ(local_address_towards("localhost:1"), local_address_towards("localhost:2"));
}

TEST(LocalAddressTest, NamesThatDoNotResolveAreNamed) {
  cohort::testing::expect_error(Code::kNotFound, {"no-such-host.invalid"},
                                [] { local_address_towards("no-such-host.invalid:2222"); });
  cohort::testing::expect_error(
      Code::kNotFound, {"no-such-host.invalid", "; want another name"},
      [] { local_address_towards("no-such-host.invalid:2222", "want another name"); });
}

}  // namespace
}  // namespace cohort::cluster
