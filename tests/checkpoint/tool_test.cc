#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "cohort/checkpoint/safetensors.h"
#include "cohort/checkpoint/tool/commands.h"
#include "tests/checkpoint/memory_storage.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

namespace cohort::checkpoint {
namespace {

using ::testing::AllOf;
using testing::expect_error;
using ::testing::HasSubstr;

TEST(CheckpointToolTest, ShowSaysWhatIsThere) {
  const auto storage = std::make_shared<MemoryStorage>();
  save(*storage, "d", 12, some_tensors(1), 2);
  const tool::Outcome outcome = tool::show(storage, "d", true);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.text,
              AllOf(HasSubstr("step        12\n"), HasSubstr("2023-11-14 22:13:20 UTC"),
                    HasSubstr("large float32 [700, 1024] data-0.safetensors+"),
                    HasSubstr("@358400:716800"), HasSubstr("empty float32 [0, 3]\n")));
  EXPECT_THAT(tool::show(storage, "d", false).text, Not(HasSubstr("large")));
  expect_error(Code::kNotFound, {"none"}, [&] { tool::show(storage, "none", false); });
}

TEST(CheckpointToolTest, VerifyNamesWhatIsDamaged) {
  const auto storage = std::make_shared<MemoryStorage>();
  for (const uint64_t step : {1, 2}) save(*storage, "d", step, some_tensors(1));
  EXPECT_EQ(tool::verify(storage, "d").status, 0);
  storage->bytes("d/step-000000000001/data-0.safetensors").back() ^= 1;
  const tool::Outcome outcome = tool::verify(storage, "d");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.text, AllOf(HasSubstr("step-000000000001: damaged: "),
                                  HasSubstr("step-000000000002: whole, 12 tensors")));
  EXPECT_EQ(tool::verify(storage, "d/step-000000000002").status, 0);
}

TEST(CheckpointToolTest, DiffNamesTheFirstElementThatDiffers) {
  const auto storage = std::make_shared<MemoryStorage>();
  NamedTensors tensors{{"a", Tensor(DType::kF32, Shape{2, 3})},
                       {"b", Tensor::scalar<int64_t>(7)},
                       {"c", Tensor(DType::kBF16, Shape{4})}};
  save(*storage, "x", 1, tensors);
  EXPECT_EQ(tool::diff(storage, "x", "x").status, 0);
  tensors["a"].data<float>()[4] = 0.5f;
  tensors.erase("b");
  tensors["c"] = Tensor(DType::kBF16, Shape{2, 2});
  tensors["z"] = Tensor::scalar(1.f);
  save(*storage, "y", 1, tensors, 2);
  const tool::Outcome outcome = tool::diff(storage, "x", "y");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.text,
            "only in x/step-000000000001: b\n"
            "other types: c: bfloat16 [4] and bfloat16 [2, 2]\n"
            "only in y/step-000000000001: z\n"
            "first difference: a at [1, 1]: 0 and 0.5\n"
            "0 tensors are equal, 1 differ\n");
}

NamedTensors read_file_of(Storage& storage, const std::string& path) {
  const auto file = storage.open(path);
  NamedTensors tensors;
  const SafetensorsHeader header = read_safetensors_header(*file, path);
  for (const SafetensorsEntry& entry : header.entries) {
    Tensor tensor(entry.dtype, Shape(std::span(entry.shape)));
    file->read(header.num_bytes + entry.begin, tensor.raw(), tensor.num_bytes());
    tensors[entry.name] = tensor;
  }
  return tensors;
}

TEST(CheckpointToolTest, ConvertWritesWholeTensorsInOneFileOrMany) {
  const auto storage = std::make_shared<MemoryStorage>();
  save(*storage, "d", 1, some_tensors(1), 3);
  EXPECT_EQ(tool::convert(storage, "d", "out", {}).status, 0);
  EXPECT_TRUE(equal(read_file_of(*storage, "out/model.safetensors"), some_tensors(1)));
  EXPECT_EQ(storage->list("out").size(), 1u);
  tool::convert(storage, "d", "many", {.max_shard_bytes = 100});
  NamedTensors all;
  for (const std::string& name : storage->list("many"))
    if (name.ends_with(".safetensors")) all.merge(read_file_of(*storage, "many/" + name));
  EXPECT_TRUE(equal(all, some_tensors(1)));
  EXPECT_TRUE(storage->exists("many/model.safetensors.index.json"));
  tool::convert(storage, "d", "types", {.prefix = "types/"});
  EXPECT_EQ(read_file_of(*storage, "types/model.safetensors").count("int64"), 1u);
  expect_error(Code::kNotFound, {"\"q\""},
               [&] { tool::convert(storage, "d", "no", {.prefix = "q"}); });
  expect_error(Code::kAlreadyExists, {"out"}, [&] { tool::convert(storage, "d", "out", {}); });
}

/// Runs the program; what it prints and its exit status.
std::pair<std::string, int> run(const std::string& arguments) {
  FILE* pipe = popen((std::string(COHORT_CHECKPOINT) + " " + arguments + " 2>&1").c_str(), "r");
  std::string text;
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += static_cast<char>(c);
  return {text, WEXITSTATUS(pclose(pipe))};
}

TEST(CheckpointToolTest, TheProgramSaysByItsStatusHowItWent) {
  const TemporaryDirectory directory;
  const auto storage = posix_storage();
  save(*storage, directory.path("a"), 1, some_tensors(1));
  save(*storage, directory.path("b"), 1, some_tensors(2));
  EXPECT_THAT(run("show --tensors " + directory.path("a")).first, HasSubstr("large float32"));
  EXPECT_EQ(run("verify " + directory.path("a")).second, 0);
  EXPECT_EQ(run("diff " + directory.path("a") + " " + directory.path("a")).second, 0);
  EXPECT_EQ(run("diff " + directory.path("a") + " " + directory.path("b")).second, 1);
  EXPECT_EQ(run("convert " + directory.path("a") + " " + directory.path("c")).second, 0);
  std::filesystem::resize_file(directory.path("b/step-000000000001/manifest"), 100);
  EXPECT_EQ(run("verify " + directory.path("b")).second, 1);
  EXPECT_EQ(run("show " + directory.path("none")).second, 2);
  EXPECT_THAT(run("show"), ::testing::Pair(HasSubstr("show: got 0 paths; want 1"), 2));
  EXPECT_THAT(run("verify --tensors x"), ::testing::Pair(HasSubstr("got --tensors"), 2));
  EXPECT_THAT(run("sing"), ::testing::Pair(HasSubstr("usage: "), 2));
  EXPECT_THAT(run("--version"), ::testing::Pair(HasSubstr("cohort-checkpoint "), 0));
}

}  // namespace
}  // namespace cohort::checkpoint
