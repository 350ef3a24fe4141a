#include "cohort/data/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "cohort/data/npz.h"
#include "tests/support/built_with.h"
#include "tests/support/damaged.h"
#include "tests/support/expect_error.h"

/// NumPy's files, recorded by tests/golden/generate_npy.py; tests/interop/npy.py has NumPy read
/// ours.
namespace cohort::data {
namespace {

using testing::expect_error;
namespace fs = std::filesystem;

std::string recorded(const std::string& name) {
  return COHORT_SOURCE_DIR "/tests/golden/npy/" + name;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Element i of what the script writes.
double element(DType dtype, int64_t i) {
  const auto value = static_cast<double>(i * 37 % 101 - 50);
  if (dtype == DType::kBool) return value != 0;
  if (dtype == DType::kU8 && value < 0) return value + 256;
  return value;
}

double at(const Tensor& tensor, int64_t i) {
  return visit_dtype(tensor.dtype(), [&](auto type) {
    return static_cast<double>(tensor.data<decltype(type)>()[i]);
  });
}

void expect_elements(const Tensor& tensor, DType dtype, const Shape& shape) {
  ASSERT_EQ(tensor.dtype(), dtype);
  ASSERT_EQ(tensor.shape(), shape);
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    ASSERT_EQ(at(tensor, i), element(dtype, i)) << i;
}

class NpyTest : public ::testing::Test {
 protected:
  NpyTest() : folder_(fs::temp_directory_path() / ("cohort_npy_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~NpyTest() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ / name; }

  const fs::path folder_;
};

TEST_F(NpyTest, EveryElementTypeIsRead) {
  const std::pair<const char*, DType> files[] = {
      {"bool", DType::kBool},     {"uint8", DType::kU8},        {"int8", DType::kI8},
      {"int32", DType::kI32},     {"int64", DType::kI64},       {"float16", DType::kF16},
      {"float32", DType::kF32},   {"float64", DType::kF64},     {"big_float16", DType::kF16},
      {"big_int32", DType::kI32}, {"big_float64", DType::kF64}, {"version2", DType::kF32}};
  for (const auto& [name, dtype] : files) {
    SCOPED_TRACE(name);
    expect_elements(load_npy(recorded(std::string(name) + ".npy")), dtype, {3, 4});
  }
}

TEST_F(NpyTest, ShapesAndOrdersOfAxesAreNumPys) {
  expect_elements(load_npy(recorded("fortran.npy")), DType::kF32, {2, 3, 4});
  expect_elements(load_npy(recorded("fortran_big.npy")), DType::kF64, {5, 3});
  expect_elements(load_npy(recorded("vector.npy")), DType::kI64, {7});
  EXPECT_EQ(load_npy(recorded("scalar.npy")).item<double>(), -2.5);
  EXPECT_EQ(load_npy(recorded("scalar.npy")).shape(), Shape());
  EXPECT_EQ(load_npy(recorded("empty.npy")).shape(), Shape({3, 0, 2}));
}

TEST_F(NpyTest, OursAreNumPysByteForByte) {
  for (const char* name : {"bool", "uint8", "int8", "int32", "int64", "float16", "float32",
                           "float64", "vector", "scalar", "empty"}) {
    SCOPED_TRACE(name);
    const std::string theirs = recorded(std::string(name) + ".npy");
    save_npy(path("a.npy"), load_npy(theirs));
    EXPECT_EQ(contents(path("a.npy")), contents(theirs));
  }
  expect_error(Code::kUnimplemented, {"a.npy", "bfloat16"},
               [&] { save_npy(path("a.npy"), Tensor(DType::kBF16, {2})); });
  expect_error(Code::kNotFound, {"none/a.npy"},
               [&] { save_npy(path("none/a.npy"), Tensor(DType::kF32, {2})); });
}

TEST_F(NpyTest, OtherArraysAreRefusedByName) {
  expect_error(Code::kUnimplemented, {"complex.npy", "\"<c8\"", "f4"},
               [] { load_npy(recorded("complex.npy")); });
  expect_error(Code::kUnimplemented, {"uint16.npy", "\"<u2\""},
               [] { load_npy(recorded("uint16.npy")); });
  expect_error(Code::kUnimplemented, {"records.npy", "records"},
               [] { load_npy(recorded("records.npy")); });
  expect_error(Code::kUnimplemented, {"objects.npy", "\"|O\""},
               [] { load_npy(recorded("objects.npy")); });
  expect_error(Code::kNotFound, {"none.npy"}, [] { load_npy(recorded("none.npy")); });
}

/// A file with this dictionary and as many bytes behind it.
std::string file_of(const std::string& dictionary, size_t data) {
  std::string text = "\x93NUMPY";
  text += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xff),
           static_cast<char>(dictionary.size() >> 8)};
  return text + dictionary + std::string(data, '\0');
}

TEST_F(NpyTest, BrokenFilesAreDataLoss) {
  const auto refuse = [&](const std::string& bytes, const std::string& said) {
    std::ofstream(path("a.npy"), std::ios::binary) << bytes;
    expect_error(Code::kDataLoss, {path("a.npy"), said}, [&] { load_npy(path("a.npy")); });
  };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  std::ofstream(path("a.npy"), std::ios::binary) << file_of(good, 24);
  EXPECT_EQ(load_npy(path("a.npy")).shape(), Shape({2, 3}));

  refuse("", "another beginning");
  refuse("PK\x03\x04 and so on", "another beginning");
  refuse(file_of(good, 23), "got 23 bytes behind the header; want 24");
  refuse(file_of(good, 25), "got 25 bytes behind the header; want 24");
  refuse(file_of(good, 24).substr(0, 30), "got a header of");
  for (const char* dictionary :
       {"", "{", "{}", "{'descr': '<f4'}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} x"})
    refuse(file_of(dictionary, 24), "got the header \"");
  refuse(
      file_of("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4, 0)}", 0),
      "more than 2^62 bytes");
}

TEST_F(NpyTest, DamagedFilesNeverCrash) {
  std::mt19937 random(5);
  for (const char* name : {"fortran.npy", "big_int32.npy", "arrays.npz", "compressed.npz"}) {
    const std::string whole = contents(recorded(name));
    const bool archive = std::string(name).ends_with(".npz");
    for (int i = 0; i < 400; ++i) {
      std::ofstream(path("a"), std::ios::binary) << testing::damaged(whole, random);
      try {
        if (archive)
          load_npz(path("a"), {.max_bytes = 1 << 20});
        else
          load_npy(path("a"));
      } catch (const Error&) {
      }
    }
  }
}

class NpzTest : public NpyTest {
 protected:
  void SetUp() override {
    if (!testing::built_with::zip) GTEST_SKIP() << "this build is without libzip";
  }
};

TEST_F(NpzTest, ArraysOfNumPyAreRead) {
  for (const char* name : {"arrays.npz", "compressed.npz"}) {
    SCOPED_TRACE(name);
    const auto arrays = load_npz(recorded(name));
    ASSERT_EQ(arrays.size(), 3u);
    expect_elements(arrays.at("weights"), DType::kF32, {3, 4});
    expect_elements(arrays.at("labels"), DType::kI64, {5, 3});
    EXPECT_EQ(arrays.at("one").item<double>(), -2.5);
  }
}

TEST_F(NpzTest, WhatIsSavedComesBack) {
  std::map<std::string, Tensor> arrays = load_npz(recorded("arrays.npz"));
  arrays["grün"] = Tensor::full(DType::kBool, {100, 1000}, 1);
  for (const bool compressed : {false, true}) {
    save_npz(path("a.npz"), arrays, {.compressed = compressed});
    EXPECT_EQ(fs::file_size(path("a.npz")) > 100000, !compressed);
    const auto loaded = load_npz(path("a.npz"));
    ASSERT_EQ(loaded.size(), arrays.size());
    for (const auto& [name, array] : arrays)
      EXPECT_TRUE(bitwise_equal(loaded.at(name), array)) << name;
    const std::string first = contents(path("a.npz"));
    save_npz(path("a.npz"), arrays, {.compressed = compressed});
    EXPECT_EQ(contents(path("a.npz")), first);
  }
  for (const auto& entry : fs::directory_iterator(folder_)) EXPECT_EQ(entry.path(), path("a.npz"));
}

TEST_F(NpzTest, WhatCannotBeIsRefused) {
  const Tensor one = Tensor::scalar<float>(1);
  expect_error(Code::kInvalidArgument, {"no arrays"}, [&] { save_npz(path("a.npz"), {}); });
  for (const char* name : {"", "a/b"})
    expect_error(Code::kInvalidArgument, {"called \"" + std::string(name) + "\""}, [&] {
      save_npz(path("a.npz"), {{name, one}});
    });
  expect_error(Code::kUnimplemented, {"a.npz: half", "bfloat16"}, [&] {
    save_npz(path("a.npz"), {{"half", Tensor(DType::kBF16, {2})}});
  });
  expect_error(Code::kNotFound, {"none/a.npz"}, [&] {
    save_npz(path("none/a.npz"), {{"a", one}});
  });
  EXPECT_TRUE(fs::is_empty(folder_));

  expect_error(Code::kNotFound, {"none.npz"}, [&] { load_npz(path("none.npz")); });
  expect_error(Code::kDataLoss, {"scalar.npy", "no zip archive"},
               [] { load_npz(recorded("scalar.npy")); });
  save_npz(path("big.npz"), {{"zeros", Tensor(DType::kU8, {1 << 20})}}, {.compressed = true});
  expect_error(Code::kResourceExhausted,
               {"big.npz: zeros.npy", "got 1048576 bytes, and 1000 are left"},
               [&] { load_npz(path("big.npz"), {.max_bytes = 1000}); });
}

TEST(NpzWithoutZipTest, SaysSo) {
  if (testing::built_with::zip) GTEST_SKIP() << "this build has libzip";
  expect_error(Code::kFailedPrecondition, {"COHORT_ZIP=ON"},
               [] { load_npz(recorded("arrays.npz")); });
}

}  // namespace
}  // namespace cohort::data
