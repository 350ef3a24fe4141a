#include "cohort/core/runtime/recently_used.h"

#include <gtest/gtest.h>

namespace cohort {
namespace {

struct Thing {
  int key;
  size_t bytes;
  size_t num_bytes() const { return bytes; }
};

/// Finds or makes.
bool had(RecentlyUsed<Thing>& cache, int key, size_t bytes = 10) {
  if (cache.find([key](const Thing& thing) { return thing.key == key; })) return true;
  cache.add({key, bytes}, "things of a test");
  return false;
}

TEST(RecentlyUsedTest, LetsTheLeastRecentlyUsedGo) {
  RecentlyUsed<Thing> cache({.bytes = 30, .least = 1});
  for (const int key : {1, 2, 3}) EXPECT_FALSE(had(cache, key));
  EXPECT_TRUE(had(cache, 1));
  EXPECT_FALSE(had(cache, 4));  // 2 goes: it was made after 1, but 1 has been used since
  EXPECT_TRUE(had(cache, 1));
  EXPECT_TRUE(had(cache, 3));
  EXPECT_FALSE(had(cache, 2));
}

TEST(RecentlyUsedTest, KeepsAsManyAsMemoryAllows) {
  RecentlyUsed<Thing> cache({.bytes = 3000, .least = 2});
  for (int key = 0; key < 300; ++key) had(cache, key);
  EXPECT_EQ(cache.size(), 300u);
  had(cache, 300, 2000);  // 100 of ten bytes fit beside it
  EXPECT_EQ(cache.size(), 101u);
  EXPECT_TRUE(had(cache, 299));
}

TEST(RecentlyUsedTest, KeepsTheLatestWhateverTheyNeed) {
  RecentlyUsed<Thing> cache({.bytes = 5, .least = 3});
  for (const int key : {1, 2, 3}) had(cache, key);
  for (const int key : {1, 2, 3}) EXPECT_TRUE(had(cache, key));
}

TEST(RecentlyUsedTest, SaysOnceThatItThrashes) {
  RecentlyUsed<Thing> cache({.bytes = 40, .least = 2});
  ::testing::internal::CaptureStderr();
  for (int round = 0; round < 100; ++round)
    for (int key = 0; key < 4; ++key) had(cache, key);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "all fit";
  ::testing::internal::CaptureStderr();
  for (int round = 0; round < 100; ++round)
    for (int key = 0; key < 5; ++key) had(cache, key);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(said.find("cohort: things of a test: "), 0u) << said;
  EXPECT_EQ(said.find('\n'), said.size() - 1) << "one line: " << said;
}

}  // namespace
}  // namespace cohort
