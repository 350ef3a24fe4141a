// What a listening port must survive: bytes of all kinds.
#include <filesystem>
#include <random>

#include "cohort/cluster/health.h"
#include "tests/cluster/hostile_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr milliseconds kTimeout(10'000);
constexpr const char* kAttend = "/cohort.control.Control/Attend";
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string random_bytes(std::mt19937& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST_F(HostileTest, GarbageBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string bytes = random_bytes(random, random() % 3000);
    if (i % 2) bytes.insert(0, kPreface);
    close(connect_and_send(bytes));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, FramesThatLie) {
  std::mt19937 random(2);
  for (int type = 0; type < 16; ++type) {
    std::string bytes(kPreface);
    bytes += std::string("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 9);  // empty settings
    bytes += std::string("\xff\xff\xff", 3) + static_cast<char>(type) +
             std::string("\xff\x00\x00\x00\x01", 5);  // a frame of 16 MiB, of which little comes
    close(connect_and_send(bytes + random_bytes(random, 1000)));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, HalfOpenConnections) {
  std::vector<int> open;
  for (int i = 0; i < 100; ++i)
    open.push_back(connect_and_send(i % 2 ? kPreface.substr(0, 10) : std::string_view()));
  expect_that_the_cluster_works();
  for (const int fd : open) close(fd);
}

TEST_F(HostileTest, OversizedAndMalformedMessages) {
  EXPECT_ANY_THROW(rpc_.call(target_, kAttend, std::string(size_t{32} << 20, 'x'), kTimeout));
  std::mt19937 random(3);
  for (int i = 0; i < 50; ++i)
    EXPECT_ANY_THROW(rpc_.call(target_, kAttend, "\x0a" + random_bytes(random, 200), kTimeout));
  expect_error(Code::kUnimplemented, {"/cohort.control.Control/Nothing"},
               [&] { rpc_.call(target_, "/cohort.control.Control/Nothing", "", kTimeout); });
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, WellFormedMessagesThatMakeNoSense) {
  // Kinds 0 to 99 with every number field set, as the first message of a stream.
  for (char kind = 0; kind < 100; ++kind) {
    const std::string message =
        std::string("\x08") + kind + "\x10\x07\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x38\x63";
    EXPECT_THAT(rpc_.call(target_, kAttend, message, kTimeout), HasSubstr("hello first"));
  }
  expect_that_the_cluster_works();
}

TEST_F(HostileTest, HealthIsServedAndReflectionWhereItIsAskedFor) {
  constexpr const char* kReflection =
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  const std::string list_services("\x3a\x00", 2);
  check_health(plan_.coordinator, {}, kTimeout);
  expect_error(Code::kUnimplemented, {},
               [&] { rpc_.call(target_, kReflection, list_services, kTimeout); });
  plan_.reflection = true;
  start();
  EXPECT_THAT(rpc_.call(target_, kReflection, list_services, kTimeout),
              AllOf(HasSubstr("cohort.control.Control"), HasSubstr("grpc.health.v1.Health")));
  expect_that_the_cluster_works();
}

}  // namespace
}  // namespace cohort::cluster
