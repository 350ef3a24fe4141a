#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/checkpoint/resume_program.h"
#include "tests/support/expect_error.h"

/// Whatever the data come from, a call of fit goes on in the middle of them.
namespace cohort::nn {
namespace {

using testing::expect_error;

TEST(ResumeDataTest, DistributedDatasetsGoOn) {
  const distribute::Strategy two = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  expect_resumes({.strategy = two, .is_distributed = true}, 40);
}

TEST(ResumeDataTest, StepsThatLookInsideArePassedOverAgain) {
  const auto data = [] {
    return labelled_rows(1)
        .cache()
        .shuffle(16)
        .filter([](const data::Element& row) { return row[1].item<int32_t>() != 3; })
        .map([](const data::Element& row) { return row; }, {.num_parallel_calls = 2})
        .batch(8)
        .prefetch();
  };
  expect_resumes({.data = data}, 50);
}

TEST(ResumeDataTest, FilesGoOnAndOneOfAnotherSizeIsNamed) {
  const TemporaryDirectory files, undisturbed, directory;
  const std::string path = files.path("lines.txt");
  const auto write = [&](const char* end) {
    std::ofstream out(path);
    for (int i = 0; i < kRows; ++i) out << std::string(static_cast<size_t>(1 + i % 5), 'x') << '\n';
    out << end;
  };
  write("");
  Program program{.data = [&] {
    return data::Dataset::from_text_lines({path})
        .map([](const data::Element& line) -> data::Element {
          const auto length = static_cast<int32_t>(line[0].num_elements());
          return {Tensor::full(DType::kF32, Shape{6}, length), Tensor::scalar(length % 5)};
        })
        .shuffle(10)
        .batch(16);
  }};
  program.backup.exact = true;
  const std::string want = run_process(program, undisturbed.path());
  EXPECT_THROW(run_process(program, directory.path(), 7), Killed);
  write("xx\n");
  expect_error(Code::kFailedPrecondition, {"lines.txt 283\" here", "lines.txt 280\" there"},
               [&] { run_process(program, directory.path()); });
  write("");
  EXPECT_EQ(run_process(program, directory.path()), want);
}

/// Without a shuffle the place is reached by index; with one the records are passed over.
TEST(ResumeDataTest, RecordsGoOnWhereverTheirFilesAre) {
  TemporaryDirectory files;
  const auto write = [](const std::string& directory) {
    for (int file = 0; file < 3; ++file) {
      std::filesystem::create_directories(directory);
      data::TFRecordWriter writer(fmt::format("{}/{}.tfrecord", directory, file));
      for (int i = file; i < kRows; i += 3) writer.write(std::to_string(i * i));
    }
  };
  std::string folder = files.path("before");
  const auto records = [&] {
    std::vector<std::string> names;
    for (int i = 0; i < 3; ++i) names.push_back(fmt::format("{}/{}.tfrecord", folder, i));
    return data::Dataset::from_tfrecord(names).map(
        [](const data::Element& record) -> data::Element {
          const int number = std::stoi(data::text_of(record[0]));
          return {Tensor::full(DType::kF32, Shape{6}, number % 11), Tensor::scalar(number % 5)};
        },
        {.num_parallel_calls = 2});
  };
  Program program;
  program.backup.exact = true;
  for (const bool shuffles : {false, true}) {
    write(folder);
    program.data = [&] {
      return (shuffles ? records().shuffle(20) : records()).batch(16).prefetch();
    };
    expect_resumes(program, shuffles ? 71 : 70);
    const TemporaryDirectory undisturbed, directory;
    const std::string want = run_process(program, undisturbed.path());
    EXPECT_THROW(run_process(program, directory.path(), 7), Killed);
    std::filesystem::rename(folder, files.path("moved"));
    folder = files.path("moved");
    EXPECT_EQ(run_process(program, directory.path()), want);
    std::filesystem::remove_all(folder);
    folder = files.path("before");
  }
}

}  // namespace
}  // namespace cohort::nn
