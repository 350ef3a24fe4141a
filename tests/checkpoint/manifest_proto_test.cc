// checkpoint/manifest.proto describes the manifest: Protobuf's own compiler reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/checkpoint/support.h"

namespace cohort::checkpoint {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ManifestProtoTest, ProtocDecodesAManifest) {
  if (std::system("protoc --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no protoc here";
  const TemporaryDirectory directory;
  const std::string path = save(*posix_storage(), directory.path("d"), 77, some_tensors(1), 2);
  const std::string command = "protoc --proto_path=" + std::string(COHORT_SOURCE_DIR) +
                              "/checkpoint --decode=cohort.checkpoint.Manifest manifest.proto < " +
                              path + "/manifest > " + directory.path("text");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ostringstream text;
  text << std::ifstream(directory.path("text")).rdbuf();
  EXPECT_THAT(text.str(), HasSubstr("\nstep: 77\n"));
  EXPECT_THAT(text.str(), HasSubstr("name: \"large\"\n  dtype: \"F32\"\n  shape: 700\n"));
  EXPECT_THAT(text.str(), HasSubstr("    begin: 358400\n    end: 716800\n    file: 1\n"));
  EXPECT_THAT(text.str(), HasSubstr("\ncrc32c: "));
  EXPECT_THAT(text.str(), Not(HasSubstr("\n1")));  // a field that the schema lacks
  EXPECT_THAT(text.str(), Not(HasSubstr("  1: ")));
}

}  // namespace
}  // namespace cohort::checkpoint
