#include "cohort/cluster/address.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_invalid;

TEST(AddressTest, NameAndPortAreRead) {
  EXPECT_EQ(parse_address("worker0.example.com:2222"),
            (Address{.host = "worker0.example.com", .port = 2222}));
  EXPECT_EQ(parse_address("10.0.0.7:0"), (Address{.host = "10.0.0.7", .port = 0}));
}

TEST(AddressTest, Ipv6StandsInBrackets) {
  EXPECT_EQ(parse_address("[::1]:2222"), (Address{.host = "::1", .port = 2222}));
  EXPECT_EQ(parse_address("[::1]:2222").to_string(), "[::1]:2222");
  expect_invalid({"::1:2222", "[address]:port"}, [] { parse_address("::1:2222"); });
}

TEST(AddressTest, MissingPortIsNamed) {
  expect_invalid({"'localhost'", "port"}, [] { parse_address("localhost"); });
  expect_invalid({"port"}, [] { parse_address("[::1]"); });
  expect_invalid({"port"}, [] { parse_address("localhost:"); });
  expect_invalid({"port"}, [] { parse_address(""); });
}

TEST(AddressTest, WrongPortsAndHostsAreRefused) {
  for (const char* text : {"a:65536", "a:-1", "a:+1", "a:12x", "a: 1", "a:99999999999999999999",
                           ":2222", "a b:1", "[]:1", "a/b:1", "a\n:1", "grpc://a:1"})
    expect_invalid({"address"}, [&] { parse_address(text); });
  expect_invalid({"host"}, [] { parse_address(std::string(300, 'a') + ":1"); });
}

}  // namespace
}  // namespace cohort::cluster
