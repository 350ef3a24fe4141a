#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "cohort/checkpoint/data_file.h"
#include "cohort/checkpoint/saved_state.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/tensor.h"
#include "cohort/data/dataset.h"

namespace cohort::checkpoint {

/// A directory of its own, gone with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(std::filesystem::temp_directory_path() /
              ("cohort_checkpoint_" + std::to_string(getpid()) + "_" + std::to_string(number()))) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path(const std::string& name = "") const {
    return name.empty() ? path_.string() : (path_ / name).string();
  }

 private:
  static int number() {
    static std::atomic<int> count{0};
    return count++;
  }
  std::filesystem::path path_;
};

using NamedTensors = std::map<std::string, Tensor>;

inline Tensor random_tensor(DType dtype, Shape shape, uint32_t seed) {
  Tensor tensor(dtype, std::move(shape));
  std::mt19937 random(seed);
  auto* bytes = static_cast<unsigned char*>(tensor.raw());
  for (size_t i = 0; i < tensor.num_bytes(); ++i)
    bytes[i] = static_cast<unsigned char>(dtype == DType::kBool ? random() & 1 : random());
  return tensor;
}

/// Tensors of every type, a scalar, an empty one, and one of several blocks.
inline NamedTensors some_tensors(uint32_t seed) {
  NamedTensors tensors{{"large", random_tensor(DType::kF32, Shape{700, 1024}, seed)},
                       {"empty", Tensor(DType::kF32, Shape{0, 3})},
                       {"step", Tensor::scalar<int64_t>(seed)}};
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32,
                            DType::kI64, DType::kU8, DType::kI8, DType::kBool})
    tensors["types/" + std::string(dtype_name(dtype))] = random_tensor(dtype, Shape{3, 5}, seed);
  return tensors;
}

/// A save by one rank, or by several that write equal parts of each tensor.
inline std::string save(Storage& storage, const std::string& directory, uint64_t step,
                        const NamedTensors& tensors, int num_ranks = 1) {
  make_directories(storage, directory);
  const std::string saving = begin_save(storage, directory, step);
  Manifest manifest{.step = step, .created_ms = 1'700'000'000'000 + step};
  std::map<std::string, TensorRecord> records;
  for (const auto& [name, tensor] : tensors)
    records[name] = {.name = name, .dtype = tensor.dtype(), .shape = tensor.shape().numbers()};
  for (int rank = 0; rank < num_ranks; ++rank) {
    std::vector<PieceSource> pieces;
    for (const auto& [name, tensor] : tensors) {
      const int64_t elements = tensor.num_elements();
      const int64_t begin = elements * rank / num_ranks, end = elements * (rank + 1) / num_ranks;
      if (begin == end && !(elements == 0 && rank == 0)) continue;
      pieces.push_back({name, tensor.dtype(), tensor.shape().numbers(), begin, end,
                        [flat = tensor.reshape({-1}), begin, end] {
                          return flat.num_elements() ? flat.slice(0, begin, end) : flat;
                        }});
    }
    const auto file = static_cast<uint32_t>(manifest.files.size());
    const WrittenFile written =
        write_data_file(storage, saving, "data-" + std::to_string(rank) + ".safetensors", pieces);
    manifest.files.push_back(written.record);
    for (size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].begin < pieces[i].end)
        records[pieces[i].name].pieces.push_back(
            {pieces[i].begin, pieces[i].end, file, written.offsets[i]});
  }
  for (auto& [name, record] : records) manifest.tensors.push_back(std::move(record));
  return commit_save(storage, directory, manifest);
}

inline NamedTensors tensors_of(const SavedState& state) {
  NamedTensors tensors;
  for (const TensorRecord& tensor : state.manifest().tensors)
    tensors[tensor.name] = state.read(tensor);
  return tensors;
}

inline bool equal(const NamedTensors& a, const NamedTensors& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && bitwise_equal(x.second, y.second);
  });
}

/// 70 rows of 6 numbers with labels below 5, in batches of 16.
inline data::Dataset shuffled_examples() {
  Tensor x(DType::kF32, Shape{70, 6});
  Tensor y(DType::kI32, Shape{70});
  for (int64_t i = 0; i < x.num_elements(); ++i)
    x.data<float>()[i] = static_cast<float>((i * 7919) % 101) / 101 - 0.5f;
  for (int64_t i = 0; i < 70; ++i) y.data<int32_t>()[i] = static_cast<int32_t>(i * 3 % 5);
  return data::Dataset::from_tensor_slices({x, y}).shuffle(70).batch(16);
}

}  // namespace cohort::checkpoint
