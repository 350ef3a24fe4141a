#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuArrayTest = GpuTest;
using Ints = std::vector<int64_t>;

constexpr DType kOfEverySize[] = {DType::kU8, DType::kF16, DType::kF32, DType::kF64};

TEST_F(GpuArrayTest, TransposesMoveEveryElement) {
  const std::pair<Shape, Ints> cases[] = {{{33, 65}, {1, 0}},       {{1, 5}, {1, 0}},
                                          {{3, 33, 34}, {0, 2, 1}}, {{3, 4, 5}, {2, 0, 1}},
                                          {{3, 4, 5}, {0, 1, 2}},   {{2, 3, 4, 5}, {3, 1, 0, 2}},
                                          {{0, 7}, {1, 0}}};
  for (const DType dtype : kOfEverySize)
    for (const auto& [shape, permutation] : cases)
      expect_like_cpu({"Transpose", {random_numbers(dtype, shape)}, {{"permutation", permutation}}},
                      0);
}

TEST_F(GpuArrayTest, SlicesAndTheirGradientsAgree) {
  for (const DType dtype : kOfEverySize) {
    const Attrs attrs = {{"begin", Ints{1, 2}}, {"end", Ints{9, 11}}, {"strides", Ints{2, 3}}};
    const Tensor x = random_numbers(dtype, {10, 12});
    expect_like_cpu({"Slice", {x}, attrs}, 0);
    const Tensor dy = run_kernel({"Slice", {x}, attrs}).outputs[0];
    expect_like_cpu({"SliceGrad", {dy, x}, attrs}, 0);
  }
}

TEST_F(GpuArrayTest, PadsWithAnyValue) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI32, DType::kU8})
    expect_like_cpu({"Pad",
                     {random_numbers(dtype, {3, 5})},
                     {{"before", Ints{1, 0}}, {"after", Ints{2, 4}}, {"value", 3.0}}},
                    0);
}

TEST_F(GpuArrayTest, ConcatenatesAlongAnyAxis) {
  for (const DType dtype : kOfEverySize) {
    expect_like_cpu({"Concat",
                     {random_numbers(dtype, {2, 3, 5}, 1), random_numbers(dtype, {2, 1, 5}, 2),
                      random_numbers(dtype, {2, 0, 5}, 3)},
                     {{"axis", int64_t{1}}}},
                    0);
    expect_like_cpu({"Concat",
                     {random_numbers(dtype, {7}, 1), random_numbers(dtype, {9}, 2)},
                     {{"axis", int64_t{0}}}},
                    0);
  }
}

TEST_F(GpuArrayTest, BroadcastsFillsAndCopies) {
  expect_like_cpu(
      {"BroadcastTo", {random_numbers(DType::kF32, {3, 1})}, {{"shape", Shape{2, 3, 4}}}}, 0);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI64, DType::kBool})
    expect_like_cpu({"Fill", {}, {{"shape", Shape{5, 3}}, {"dtype", dtype}, {"value", 1.0}}}, 0);
  expect_like_cpu({"Reshape", {random_numbers(DType::kF32, {6, 4})}, {{"shape", Shape{3, 8}}}}, 0);
  expect_like_cpu({"Shape0", {random_numbers(DType::kF32, {6, 4})}}, 0);
}

TEST_F(GpuArrayTest, GathersRowsByEveryIndexType) {
  const Tensor table = random_numbers(DType::kF32, {11, 5});
  const Tensor indices = random_integers({3, 7}, 11);
  expect_like_cpu({"Gather", {table, indices}}, 0);
  expect_like_cpu({"Gather", {table, indices.cast(DType::kI32)}}, 0);
  expect_like_cpu({"Gather", {table.cast(DType::kF64), random_integers({0}, 11)}}, 0);
}

TEST_F(GpuArrayTest, AnIndexOutsideIsFound) {
  const Tensor table = random_numbers(DType::kF32, {11, 5});
  GpuKernel kernel({"Gather", {table, Tensor::from({int64_t{3}, int64_t{11}})}});
  try {
    kernel.run();
    FAIL() << "want an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kOutOfRange);
    EXPECT_NE(std::string(error.what()).find("index 11 at position 1"), std::string::npos)
        << error.what();
  }
}

TEST_F(GpuArrayTest, EqualRowsAddInOrder) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kI32})
    expect_like_cpu({"SlicesToDense",
                     {random_integers({50}, 4), random_numbers(dtype, {50, 9})},
                     {{"shape", Shape{4, 9}}}},
                    0);
}

/// i32 in -1 … limit - 1, where -1 stands for no row.
Tensor random_rows(int64_t count, int32_t limit) {
  Tensor rows(DType::kI32, Shape{count});
  uint32_t x = 7;
  for (int64_t i = 0; i < count; ++i)
    rows.data<int32_t>()[i] =
        static_cast<int32_t>((x = x * 1664525 + 1013904223) >> 8) % (limit + 1) - 1;
  return rows;
}

TEST_F(GpuArrayTest, RowsThatAreNotThereAreLeftOut) {
  expect_like_cpu({"SlicesToDense",
                   {random_rows(50, 4), random_numbers(DType::kF32, {50, 9})},
                   {{"shape", Shape{4, 9}}}},
                  0);
}

TEST_F(GpuArrayTest, SlicesArePaddedAndCombined) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    for (const int64_t rows : {0, 5, 8})
      expect_like_cpu({"PadSlices",
                       {random_integers({rows}, 6), random_numbers(dtype, {rows, 3})},
                       {{"rows", int64_t{8}}}},
                      0);
    for (const int64_t part_rows : {0, 1, 7, 20, 140})
      expect_like_cpu({"CombineSlices",
                       {random_rows(140, 11), random_numbers(dtype, {140, 5})},
                       {{"part_rows", part_rows}, {"shape", Shape{11, 5}}}},
                      0);
  }
}

TEST_F(GpuArrayTest, OneHotAndArgMaxAgree) {
  expect_like_cpu(
      {"OneHot",
       {Tensor::from({int64_t{0}, int64_t{4}, int64_t{-1}, int64_t{5}})},
       {{"depth", int64_t{5}}, {"dtype", DType::kF32}, {"on_value", 2.0}, {"off_value", -1.0}}},
      0);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI32})
    for (const int64_t axis : {0, 1, 2})
      expect_like_cpu({"ArgMax", {random_numbers(dtype, {5, 6, 7})}, {{"axis", axis}}}, 0);
}

}  // namespace
}  // namespace cohort::testing
