#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "cohort/checkpoint/manifest.h"
#include "cohort/checkpoint/replaced_directory.h"
#include "cohort/checkpoint/tool/commands.h"
#include "cohort/cohort.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

/// The files of an exported directory: how they get there, and what is said of others.
namespace cohort::nn {
namespace {

using checkpoint::TemporaryDirectory;
using testing::expect_error;
namespace fs = std::filesystem;

std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

Sequential small_model(int64_t units = 2) {
  return Sequential({Input({.shape = {3}}), Dense{.units = units}});
}

class ExportedFilesTest : public ::testing::Test {
 protected:
  void SetUp() override { small_model().export_to(path_); }

  /// Loading fails, naming these.
  void refused(Code code, std::initializer_list<std::string_view> says) {
    expect_error(code, says, [&] { load_function(path_); });
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  void change_manifest(const std::function<void(checkpoint::Manifest&)>& change) {
    checkpoint::Manifest manifest =
        checkpoint::parse_manifest(contents_of(file("manifest")), "manifest");
    change(manifest);
    overwrite(file("manifest"), serialize(manifest));
  }

  const TemporaryDirectory folder_;
  const std::string path_ = folder_.path("exported");
};

TEST_F(ExportedFilesTest, AreTheseAndNoOthers) {
  EXPECT_THAT(files_in(path_), ::testing::ElementsAre("functions", "manifest", "model.safetensors",
                                                      "model.safetensors.index.json"));
  EXPECT_THAT(files_in(folder_.path()), ::testing::ElementsAre("exported"));
  const auto storage = checkpoint::posix_storage();
  EXPECT_EQ(checkpoint::tool::verify(storage, path_).status, 0);
  EXPECT_EQ(checkpoint::tool::show(storage, path_, true).status, 0);
}

TEST_F(ExportedFilesTest, AnExportTakesTheOldOnesPlace) {
  const LoadedFunction before = load_function(path_);
  const Sequential model = small_model(5);
  model.export_to(path_ + "/");
  EXPECT_EQ(load_function(path_).outputs()[0].type.shape, (Shape{batch_dim(), 5}));
  EXPECT_THAT(files_in(folder_.path()), ::testing::ElementsAre("exported"));
  // Who has loaded the old one keeps it.
  const Tensor x = Tensor::full(DType::kF32, Shape{2, 3}, 1);
  EXPECT_EQ(before(x)[0].shape(), (Shape{2, 2}));
  expect_error(Code::kAlreadyExists, {path_},
               [&] { model.export_to(path_, {.overwrite = false}); });
  overwrite(file("notes.txt"), "mine");
  expect_error(Code::kFailedPrecondition, {path_, "\"notes.txt\""},
               [&] { model.export_to(path_); });
  EXPECT_EQ(contents_of(file("notes.txt")), "mine");
  EXPECT_THAT(files_in(folder_.path()), ::testing::ElementsAre("exported"));
}

TEST_F(ExportedFilesTest, WhatIsNotClosedLeavesWhatWasThere) {
  const std::string before = contents_of(file("functions"));
  {
    checkpoint::ReplacedDirectory made(
        path_, {"functions", "manifest", "model.safetensors", "model.safetensors.index.json"},
        true);
    overwrite(made.path() + "/functions", "x");
  }
  EXPECT_EQ(contents_of(file("functions")), before);
  EXPECT_THAT(files_in(folder_.path()), ::testing::ElementsAre("exported"));
}

TEST_F(ExportedFilesTest, FilesThatLackAreNamed) {
  for (const char* name : {"functions", "manifest", "model.safetensors"}) {
    small_model().export_to(path_);
    fs::remove(file(name));
    refused(Code::kNotFound, {file(name)});
    fs::remove_all(path_);
  }
  refused(Code::kNotFound, {path_});
}

TEST_F(ExportedFilesTest, EveryByteIsSeen) {
  for (const char* name : {"functions", "manifest", "model.safetensors"}) {
    const std::string whole = contents_of(file(name));
    const size_t step = std::max<size_t>(1, whole.size() / 200);
    for (size_t at = 0; at < whole.size(); at += step) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 16);
      overwrite(file(name), changed);
      refused(Code::kDataLoss, {path_});
      overwrite(file(name), whole.substr(0, at));
      refused(Code::kDataLoss, {path_});
    }
    overwrite(file(name), whole);
  }
  load_function(path_);
}

TEST_F(ExportedFilesTest, PartsOfTwoExportsAreNotTakenForOne) {
  small_model(3).export_to(folder_.path("other"));
  overwrite(file("functions"), contents_of(folder_.path("other") + "/functions"));
  refused(Code::kDataLoss, {path_, "do not belong together"});
}

TEST_F(ExportedFilesTest, TensorsThatDoNotFitTheGraphAreNamed) {
  const std::string whole = contents_of(file("manifest"));
  change_manifest([](checkpoint::Manifest& m) { m.tensors.pop_back(); });
  refused(Code::kDataLoss, {"functions: serve", "layers/dense/kernel: got no tensor"});
  overwrite(file("manifest"), whole);
  change_manifest(
      [](checkpoint::Manifest& m) { std::swap(m.tensors[1].shape[0], m.tensors[1].shape[1]); });
  refused(Code::kDataLoss, {"layers/dense/kernel"});
}

}  // namespace
}  // namespace cohort::nn
