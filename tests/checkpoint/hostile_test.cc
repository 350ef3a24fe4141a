#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cohort/checkpoint/manifest.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/core/wire/crc32c.h"
#include "cohort/core/wire/protobuf.h"
#include "tests/checkpoint/memory_storage.h"
#include "tests/checkpoint/support.h"
#include "tests/support/damaged.h"
#include "tests/support/expect_error.h"

/// Files of other programs and of people who mean harm: every one ends in success or an Error.
namespace cohort::checkpoint {
namespace {

using testing::expect_error;

std::string safetensors(const std::string& json, const std::string& data = "") {
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(json.size() >> (8 * i));
  return file + json + data;
}

SafetensorsHeader read(const std::string& bytes) {
  MemoryStorage storage;
  write_file(storage, "f", bytes);
  return read_safetensors_header(*storage.open("f"), "f");
}

TEST(SafetensorsTest, ReadsWhatOthersWrite) {
  const SafetensorsHeader header = read(safetensors(
      "  {\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"shape\":[2],\"data_offsets\":[4,8],"
      "\"dtype\":\"F16\"},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}   ",
      "12345678"));
  ASSERT_EQ(header.entries.size(), 2u);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_EQ(header.entries[1].dtype, DType::kF16);
  EXPECT_EQ(header.entries[1].shape, std::vector<int64_t>{2});
  EXPECT_EQ(header.metadata.at("format"), "pt");
  EXPECT_TRUE(read(safetensors("{}")).entries.empty());
}

TEST(SafetensorsTest, NamesSurviveEscapes) {
  const std::string name = "é\"\\/\n\t";
  const std::vector<SafetensorsEntry> entries{{.name = name, .dtype = DType::kU8, .shape = {0}}};
  EXPECT_EQ(read(serialize_safetensors_header(entries, {}, 8)).entries[0].name, name);
}

TEST(SafetensorsTest, RefusesWhatIsInconsistent) {
  const auto entry = [](const std::string& name, const std::string& dtype, const std::string& shape,
                        const std::string& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":" + offsets + "}";
  };
  const std::string good = entry("a", "F32", "[1]", "[0,4]");
  const struct {
    std::string json, data, says;
    Code code = Code::kDataLoss;
  } cases[] = {
      {"{" + good + "," + good + "}", "1234", "twice"},
      {"{" + entry("a", "F32", "[2]", "[0,4]") + "}", "1234", "want 8"},
      {"{" + entry("a", "F32", "[1]", "[4,8]") + "}", "12345678", "no gap"},
      {"{" + good + "," + entry("b", "U8", "[1]", "[3,4]") + "}", "1234", "no overlap"},
      {"{" + good + "}", "12345", "got 5 bytes behind the header; want 4"},
      {"{" + good + "}", "123", "want 4"},
      {"{" + entry("a", "F32", "[1]", "[4,0]") + "}", "1234", "data_offsets"},
      {"{" + entry("a", "F32", "[-1]", "[0,4]") + "}", "1234", "got -1"},
      {"{" + entry("a", "F32", "[1.0]", "[0,4]") + "}", "1234", "got 1.0"},
      {"{" + entry("a", "F32", "[4294967296,4294967296,4294967296]", "[0,4]") + "}", "1234",
       "more than 2^62"},
      {"{" + entry("a", "F99", "[1]", "[0,4]") + "}", "1234", "F99"},
      {"{" + entry("a", "F8_E4M3", "[4]", "[0,4]") + "}", "1234", "F8_E4M3", Code::kUnimplemented},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "1234", "no \"data_offsets\""},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":[1]}}", "1234",
       "list"},
      {"{\"a\":1}", "", "a number"},
      {"{\"__metadata__\":{\"a\":1}}", "", "a number"},
      {"[]", "", "JSON object"},
      {"", "", "JSON object"},
      {"{} x", "", "JSON"},
      {"{\"a\":", "", "JSON"},
      {std::string(100000, '{'), "", "JSON"},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":" + std::string(100000, '['), "", "a list"},
  };
  for (const auto& bad : cases)
    expect_error(bad.code, {"f", bad.says}, [&] { read(safetensors(bad.json, bad.data)); });
  expect_error(Code::kDataLoss, {"4 bytes"}, [] { read("1234"); });
  expect_error(Code::kDataLoss, {"header of"}, [] { read("\xff\xff\xff\xff\xff\xff\xff\x7f{}"); });
}

Manifest small_manifest() {
  return {.step = 12,
          .created_ms = 1'700'000'000'000,
          .metric = 0.25,
          .trace_hash = "00ff",
          .facts = {{"processes", "2"}},
          .files = {{"data-0", 4096 + 64, {1}}, {"data-1", (5 << 20) + 1, {1, 2, 3, 4, 5, 6}}},
          .tensors = {{.name = "a/b", .shape = {4, 4}, .pieces = {{0, 6, 0, 4096}, {6, 16, 1, 64}}},
                      {.name = "b", .dtype = DType::kI64, .shape = {}, .pieces = {{0, 1, 0, 4096}}},
                      {.name = "c", .shape = {0}}}};
}

TEST(ManifestTest, GivesBackWhatItWasGiven) {
  const Manifest manifest = parse_manifest(serialize(small_manifest()), "m");
  EXPECT_EQ(manifest.step, 12u);
  EXPECT_EQ(manifest.metric, 0.25);
  EXPECT_EQ(manifest.trace_hash, "00ff");
  EXPECT_EQ(manifest.facts, small_manifest().facts);
  ASSERT_EQ(manifest.files.size(), 2u);
  EXPECT_EQ(manifest.files[1].crcs, (std::vector<uint32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(manifest.find("a/b")->pieces[1].offset, 64u);
  EXPECT_EQ(manifest.find("b")->dtype, DType::kI64);
  EXPECT_EQ(manifest.find("a"), nullptr);
  EXPECT_EQ(manifest.num_bytes(), 64u + 8u);
  EXPECT_EQ(serialize(manifest), serialize(small_manifest()));
}

TEST(ManifestTest, APieceTakesAtMostFortyBytes) {
  Manifest manifest{.files = {{"f", uint64_t{1} << 40, std::vector<uint32_t>(1 << 20)}}};
  const size_t without = serialize(manifest).size();
  manifest.tensors = {{.name = "t", .shape = {1000000000}}};
  for (int64_t i = 0; i < 1000; ++i)
    manifest.tensors[0].pieces.push_back(
        {i * 1000000, (i + 1) * 1000000, 0, (uint64_t{1} << 39) + static_cast<uint64_t>(i)});
  EXPECT_LE(serialize(manifest).size() - without, 1000u * 40);
}

TEST(ManifestTest, RefusesWhatDoesNotFit) {
  const auto refused = [](std::string_view says, const std::function<void(Manifest&)>& change) {
    Manifest manifest = small_manifest();
    change(manifest);
    expect_error(Code::kDataLoss, {says}, [&] { serialize(manifest); });
  };
  refused("a plain name", [](Manifest& m) { m.files[0].name = "../passwd"; });
  refused("a plain name", [](Manifest& m) { m.files[0].name = "/etc/passwd"; });
  refused("a plain name", [](Manifest& m) { m.files[0].name = ".hidden"; });
  refused("a plain name", [](Manifest& m) { m.files[0].name = ""; });
  refused("twice", [](Manifest& m) {
    m.files[1].name = m.files[0].name, m.files[1].bytes = 0, m.files[1].crcs.clear();
  });
  refused("checksums", [](Manifest& m) { m.files[0].crcs.push_back(1); });
  refused("want the next ones", [](Manifest& m) { m.tensors[0].pieces[1].begin = 7; });
  refused("want the next ones", [](Manifest& m) { m.tensors[0].pieces[1].begin = 5; });
  refused("want the next ones", [](Manifest& m) { m.tensors[0].pieces[1].end = 17; });
  refused("want all of them", [](Manifest& m) { m.tensors[0].pieces.pop_back(); });
  refused("got file 2 of 2", [](Manifest& m) { m.tensors[0].pieces[0].file = 2; });
  refused("want them inside", [](Manifest& m) { m.tensors[0].pieces[0].offset = 4150; });
  refused("want them inside", [](Manifest& m) { m.tensors[0].pieces[0].offset = UINT64_MAX >> 2; });
  refused("ascending names", [](Manifest& m) { m.tensors[1].name = "a/b"; });
}

TEST(ManifestTest, NamesThatFilesCannotHaveAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("~pad/0"), std::string("a@0:4"), std::string("a\nb"),
        std::string("\xff"), std::string("\xed\xa0\x80"), std::string("__metadata__"),
        std::string(5000, 'a')})
    expect_error(Code::kInvalidArgument, {"checkpoint: got a tensor called"},
                 [&] { check_tensor_name(name); });
  for (const char* name : {"a", "größe/кернел", "a b", "..", "a/../b"}) check_tensor_name(name);
}

/// With a checksum that fits: the reader must see the rest by itself.
std::string with_checksum(std::string body) {
  wire::Writer last;
  last.write_fixed32(15, wire::crc32c(body.data(), body.size()));
  return body + last.data();
}

TEST(ManifestTest, ALaterVersionIsNamed) {
  std::string body = serialize(small_manifest());
  body.resize(body.size() - 5);
  body[10] = 2;  // tag and eight bytes of field 1, tag of field 2
  expect_error(Code::kUnimplemented, {"got version 2; want 1"},
               [&] { parse_manifest(with_checksum(body), "m"); });
}

TEST(ManifestTest, ForeignAndCutOffBytesAreNamed) {
  const std::string whole = serialize(small_manifest());
  for (size_t size = 0; size < whole.size(); ++size)
    expect_error(Code::kDataLoss, {"m: got"}, [&] { parse_manifest(whole.substr(0, size), "m"); });
  for (const char* foreign : {"", "{}", "\x89HDF\r\n", "PK\x03\x04"})
    expect_error(Code::kDataLoss, {"want a checkpoint's manifest"},
                 [&] { parse_manifest(foreign, "m"); });
}

/// Parses damaged copies; how many were refused. Anything but an Error of the file's ends the test.
int num_refused(const std::string& bytes, int rounds,
                const std::function<void(const std::string&)>& parse) {
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) try {
      parse(testing::damaged(bytes, random));
    } catch (const Error& error) {
      ++refused;
      EXPECT_TRUE(error.code() == Code::kDataLoss || error.code() == Code::kUnimplemented)
          << error.what();
    }
  return refused;
}

TEST(HostileFilesTest, DamagedManifestsWithAChecksumThatFitsAreReadOrRefused) {
  const std::string whole = serialize(small_manifest());
  const std::string body = whole.substr(0, whole.size() - 5);
  const int refused = num_refused(body, 20000, [](const std::string& bytes) {
    const Manifest manifest = parse_manifest(with_checksum(bytes), "m");
    EXPECT_LE(manifest.tensors.size() + manifest.files.size(), bytes.size());
  });
  EXPECT_GT(refused, 10000);
  EXPECT_LT(refused, 20000);
}

TEST(HostileFilesTest, DamagedSafetensorsAreReadOrRefused) {
  const std::string json =
      "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_"
      "offsets\":"
      "[0,12]},\"b\":{\"dtype\":\"I64\",\"shape\":[2,2],\"data_offsets\":[12,44]}}";
  const std::string data(44, 'x');
  const auto of_json = [&](const std::string& bytes) { read(safetensors(bytes, data)); };
  EXPECT_GT(num_refused(json, 20000, of_json), 10000);
  const auto of_all = [](const std::string& bytes) { read(bytes); };
  EXPECT_GT(num_refused(safetensors(json, data), 20000, of_all), 10000);
}

}  // namespace
}  // namespace cohort::checkpoint
