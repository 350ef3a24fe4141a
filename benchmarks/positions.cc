// What it costs to go on in the middle of data: positions [ROWS [ROUNDS]]. Each line is a pipeline,
// the time from Dataset::resume at row ROWS to the first batch, and what that is for each row.
#include <fmt/core.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "benchmarks/spread.h"
#include "cohort/cohort.h"
#include "cohort/data/tfrecord.h"

namespace {

using namespace cohort;
using Clock = std::chrono::steady_clock;

constexpr int64_t kBatch = 32;

double seconds_to_first_batch(const data::Dataset& dataset, const data::Position& at) {
  const Clock::time_point begin = Clock::now();
  data::Iterator iterator = dataset.resume(at);
  if (!iterator.next()) throw Internal("positions: got no batch at the position");
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void measure(const std::string& name, const data::Dataset& dataset, int64_t rows, int rounds) {
  data::Position at = dataset.iterate({.seed = 1}).position();
  at.element = rows / kBatch;
  std::vector<double> seconds;
  for (int round = 0; round < rounds; ++round)
    seconds.push_back(seconds_to_first_batch(dataset, at));
  const Spread spread(seconds);
  fmt::print("{:32} {:9.3f} ms  ({:.3f} to {:.3f})  {:8.2f} ns a row\n", name, spread.median * 1e3,
             spread.low * 1e3, spread.high * 1e3, spread.median * 1e9 / static_cast<double>(rows));
}

data::Dataset rows_in_memory(int64_t rows) {
  return data::Dataset::from_tensor_slices(
      {Tensor::full(DType::kF32, Shape{rows, 16}, 1), Tensor::full(DType::kI32, Shape{rows}, 1)});
}

std::string write_records(const std::string& folder, int64_t rows) {
  const std::string path = folder + "/records";
  data::TFRecordWriter writer(path);
  const std::string record(100, 'x');
  for (int64_t i = 0; i < rows; ++i) writer.write(record);
  return path;
}

data::Dataset records(const std::string& path) {
  return data::Dataset::from_tfrecord({path}).map([](const data::Element& record) -> data::Element {
    return {record[0], record[0]};
  });
}

int run(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  const int64_t size = rows + 10 * kBatch;
  const data::Dataset memory = rows_in_memory(size);
  measure("memory", memory.batch(kBatch).prefetch(), rows, rounds);
  measure("memory, shuffled whole", memory.shuffle(size).batch(kBatch).prefetch(), rows, rounds);
  measure("memory, shuffled by 10,000", memory.shuffle(10'000).batch(kBatch).prefetch(), rows,
          rounds);
  const auto folder =
      std::filesystem::temp_directory_path() / fmt::format("cohort_positions_{}", getpid());
  std::filesystem::create_directories(folder);
  const std::string path = write_records(folder, size);
  measure("TFRecord, map, batch, prefetch", records(path).batch(kBatch).prefetch(), rows, rounds);
  measure("TFRecord, shuffled by 10,000", records(path).shuffle(10'000).batch(kBatch).prefetch(),
          rows, rounds);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return cohort::run_program("positions", [&] { return run(argc, argv); });
}
