#include "cohort/nn/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/expect_error.h"

namespace cohort::nn {
namespace {

using testing::expect_error;

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(ConfigTest, ComesBackFromJsonInItsOrder) {
  const std::string json =
      R"({"z":[1,-2,0.5,null],"a":{"text":"\u00e9 \"","yes":true},"e":{},"n":[]})";
  const Config config = Config::parse(json, "test");
  EXPECT_EQ(config.at("z").as_list()[1].as_int(), -2);
  EXPECT_EQ(config.at("a").at("text").as_text(), "é \"");
  EXPECT_EQ(config.to_json(),
            R"({"z":[1,-2,0.5,null],"a":{"text":"é \"","yes":true},"e":{},"n":[]})");
  EXPECT_EQ(Config::parse(config.to_json(), "test"), config);
}

TEST(ConfigTest, NumbersComeBackToTheLastBit) {
  const Config config = Config::list({0.1, 1e-300, 1.0 / 3, 9007199254740993});
  EXPECT_EQ(Config::parse(config.to_json(), "test"), config);
}

TEST(ConfigTest, RefusesWhatJsonLacks) {
  expect_error(Code::kInvalidArgument, {"finite"}, [] { Config(std::nan("")).to_json(); });
  expect_error(Code::kInvalidArgument, {"UTF-8"}, [] { Config("\xff").to_json(); });
}

TEST(ConfigTest, SaysWhatIsThereInThePlaceOfWhatIsWanted) {
  const Config config = Config::parse(R"({"units":"three"})", "test");
  expect_error(Code::kInvalidArgument, {"a text", "whole number"},
               [&] { config.at("units").as_int(); });
  expect_error(Code::kInvalidArgument, {"\"rate\"", "units"}, [&] { config.at("rate"); });
  expect_error(Code::kInvalidArgument, {"a number"}, [] { Config(0.5).as_int(); });
  EXPECT_EQ(Config(3.0).as_int(), 3);
}

TEST(ConfigTest, BoundsWhatComesFromElsewhere) {
  expect_error(Code::kResourceExhausted, {"test", "256"},
               [] { Config::parse(repeated("[", 100000), "test"); });
  expect_error(Code::kResourceExhausted, {"values"},
               [] { Config::parse("[" + repeated("0,", 1 << 21) + "0]", "test"); });
  std::string names = "{";
  for (int i = 0; i < 2000; ++i) names += "\"" + std::to_string(i) + "\":0,";
  expect_error(Code::kResourceExhausted, {"1024"},
               [&] { Config::parse(names + "\"x\":0}", "test"); });
  expect_error(Code::kResourceExhausted, {"bytes"},
               [] { Config::parse(std::string((33 << 20), ' '), "test"); });
}

TEST(ConfigTest, SaysWhereJsonBreaksOff) {
  for (const char* json :
       {"", "{", "[1,", "{\"a\"}", "nul", "[1] 2", "\"\xff\"", "{\"a\":1,\"a\":2}"})
    expect_error(Code::kDataLoss, {"test"}, [&] { Config::parse(json, "test"); });
}

}  // namespace
}  // namespace cohort::nn
