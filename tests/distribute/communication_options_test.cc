#include "cohort/distribute/communication_options.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

TEST(CommunicationOptionsTest, NamesInAnyCaseAndMergedValues) {
  EXPECT_EQ(parse_communication_implementation("NCCL"), CommunicationImplementation::kNccl);
  EXPECT_EQ(parse_communication_implementation("Ring"), CommunicationImplementation::kRing);
  testing::expect_invalid({"foo", "nccl"}, [] { parse_communication_implementation("foo"); });
  const CommunicationOptions merged =
      CommunicationOptions{.bytes_per_pack = 50}.merge({.timeout = std::chrono::seconds(1)});
  EXPECT_EQ(merged.bytes_per_pack, 50);
  EXPECT_EQ(merged.timeout, std::chrono::seconds(1));
  // 0 is the default: it is taken, and replaces nothing.
  const CommunicationOptions none{.timeout = std::chrono::milliseconds(0)};
  none.check();
  EXPECT_EQ(merged.merge(none).timeout, std::chrono::seconds(1));
  testing::expect_invalid({"gradient_dtype", "float64"},
                          [] { CommunicationOptions{.gradient_dtype = DType::kF64}.check(); });
  testing::expect_invalid(
      {"timeout"}, [] { CommunicationOptions{.timeout = std::chrono::milliseconds(-1)}.check(); });
}

}  // namespace
}  // namespace cohort::distribute
