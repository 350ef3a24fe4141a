#include "cohort/checkpoint/saved_state.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/safetensors.h"
#include "tests/checkpoint/memory_storage.h"
#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

namespace cohort::checkpoint {
namespace {

using testing::expect_error;

std::shared_ptr<Storage> memory() { return std::make_shared<MemoryStorage>(); }

TEST(SavedStateTest, GivesBackEveryTypeBitForBit) {
  const TemporaryDirectory directory;
  for (const auto& storage : {memory(), posix_storage()}) {
    const std::string path = save(*storage, directory.path("d"), 7, some_tensors(1));
    const SavedState state(storage, path);
    state.verify();
    state.verify_headers();
    EXPECT_EQ(state.manifest().step, 7u);
    EXPECT_TRUE(equal(tensors_of(state), some_tensors(1)));
  }
}

TEST(SavedStateTest, PartsOfSeveralRanksAreOneTensorAgain) {
  for (const int ranks : {2, 3, 8}) {
    const auto storage = memory();
    const SavedState state(storage, save(*storage, "d", 1, some_tensors(2), ranks));
    state.verify();
    state.verify_headers();
    EXPECT_TRUE(equal(tensors_of(state), some_tensors(2))) << ranks;
  }
}

TEST(SavedStateTest, WhatIsReadMayBeWrittenToAndNoFileChanges) {
  const TemporaryDirectory directory;
  const auto storage = posix_storage();
  const std::string path = save(*storage, directory.path("d"), 7, some_tensors(1));
  {
    const SavedState state(storage, path);
    Tensor large = state.read(*state.manifest().find("large"));
    large.data<float>()[0] = 5;
  }
  EXPECT_TRUE(equal(tensors_of(SavedState(storage, path)), some_tensors(1)));
}

TEST(SavedStateTest, HeadersAreWholePagesAndTensorsAligned) {
  const auto storage = memory();
  const std::string path = save(*storage, "d", 1, some_tensors(3), 3);
  const SavedState state(storage, path);
  for (const FileRecord& file : state.manifest().files) {
    const auto opened = storage->open(join_path(path, file.name));
    EXPECT_EQ(read_safetensors_header(*opened, "test").num_bytes % kHeaderAlignment, 0u);
  }
  for (const TensorRecord& tensor : state.manifest().tensors)
    for (const Piece& piece : tensor.pieces) EXPECT_EQ(piece.offset % kTensorAlignment, 0u);
}

TEST(SavedStateTest, AnIndexIsThereWhenEveryTensorIsWhole) {
  const auto storage = memory();
  const std::string one = save(*storage, "d", 1, some_tensors(3));
  EXPECT_TRUE(storage->exists(join_path(one, kIndexName)));
  EXPECT_FALSE(storage->exists(join_path(save(*storage, "d", 2, some_tensors(3), 2), kIndexName)));
}

TEST(SavedStateTest, ARangeIsReadAcrossPieces) {
  const auto storage = memory();
  const NamedTensors tensors = some_tensors(4);
  const SavedState state(storage, save(*storage, "d", 1, tensors, 3));
  const TensorRecord& large = *state.manifest().find("large");
  const auto number = static_cast<uint32_t>(&large - state.manifest().tensors.data());
  const ElementRange range{number, 100, 700000};
  state.verify(std::span(&range, 1));
  EXPECT_TRUE(bitwise_equal(state.read(range),
                            tensors.at("large").reshape({-1}).slice(0, 100, 700000).contiguous()));
}

TEST(SavedStateTest, VerifyingARangeLooksAtItsBlocksAlone) {
  const auto storage = std::make_shared<MemoryStorage>();
  const std::string path = save(*storage, "d", 1, some_tensors(4));
  std::string& bytes = storage->bytes(join_path(path, "data-0.safetensors"));
  bytes[bytes.size() - 1] = static_cast<char>(bytes.back() ^ 1);  // in the last block
  const SavedState state(storage, path);
  const TensorRecord& large = *state.manifest().find("large");
  const auto number = static_cast<uint32_t>(&large - state.manifest().tensors.data());
  const ElementRange begin{number, 0, 100};
  state.verify(std::span(&begin, 1));
  expect_error(Code::kDataLoss, {"data-0.safetensors", "checksum"}, [&] { state.verify(); });
}

TEST(SavedStateTest, ASourceOfAnotherTypeIsRefused) {
  const auto storage = memory();
  storage->make_directory("d");
  const PieceSource piece{
      .name = "x", .shape = {2}, .begin = 0, .end = 2, .value = [] { return Tensor::scalar(1.f); }};
  expect_error(Code::kInvalidArgument, {"x", "want 2 elements of float32"},
               [&] { write_data_file(*storage, "d", "f", {piece}); });
}

// For safe_open.py, which knows these values.
TEST(SavedStateTest, WritesFilesForOtherPrograms) {
  const char* directory = std::getenv("COHORT_CHECKPOINT_OUT");
  if (!directory) GTEST_SKIP() << "COHORT_CHECKPOINT_OUT is not set: safe_open.py sets it";
  NamedTensors tensors = some_tensors(1);
  for (auto& [name, tensor] : tensors) {
    auto* bytes = static_cast<unsigned char*>(tensor.raw());
    for (size_t i = 0; i < tensor.num_bytes(); ++i)
      bytes[i] = static_cast<unsigned char>(tensor.dtype() == DType::kBool ? i % 2 : i * 31 % 63);
  }
  save(*posix_storage(), directory, 1, tensors);
  save(*posix_storage(), directory, 3, tensors, 3);
}

TEST(NewestTest, PassesOverDamagedOnesAndSaysWhich) {
  const auto storage = std::make_shared<MemoryStorage>();
  for (const uint64_t step : {1, 2, 3, 4})
    save(*storage, "d", step, some_tensors(static_cast<uint32_t>(step)));
  storage->bytes("d/step-000000000004/manifest").pop_back();
  storage->bytes("d/step-000000000003/data-0.safetensors")[5000] ^= 1;
  std::vector<Skipped> skipped;
  const auto state = open_newest(storage, "d", &skipped);
  EXPECT_TRUE(equal(tensors_of(*state), some_tensors(2)));
  ASSERT_EQ(skipped.size(), 2u);
  EXPECT_EQ(skipped[0].path, "d/step-000000000004");
  EXPECT_NE(skipped[0].reason.find("manifest"), std::string::npos);
  EXPECT_EQ(skipped[1].path, "d/step-000000000003");
  EXPECT_NE(skipped[1].reason.find("bytes 0 to"), std::string::npos) << skipped[1].reason;
}

TEST(NewestTest, AStepIsTakenItselfOrRefused) {
  const auto storage = std::make_shared<MemoryStorage>();
  for (const uint64_t step : {1, 2}) save(*storage, "d", step, some_tensors(1));
  EXPECT_EQ(open_newest(storage, "d/step-000000000001")->manifest().step, 1u);
  storage->remove_file("d/step-000000000002/data-0.safetensors");
  expect_error(Code::kNotFound, {"data-0.safetensors"},
               [&] { open_newest(storage, "d/step-000000000002"); });
  expect_error(Code::kNotFound, {"nowhere", "no checkpoint"},
               [&] { open_newest(storage, "nowhere"); });
}

}  // namespace
}  // namespace cohort::checkpoint
