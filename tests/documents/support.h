#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "cohort/cohort.h"

/// What the text around a page's blocks takes as given; setups/*.inc uses it.
namespace cohort::documents {

/// The working directory while it lives: empty, of this process alone, and gone afterwards.
class WorkingFolder {
 public:
  WorkingFolder()
      : before_(std::filesystem::current_path()),
        folder_(std::filesystem::temp_directory_path() /
                ("cohort_documents_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    std::filesystem::current_path(folder_);
  }
  ~WorkingFolder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;

 private:
  std::filesystem::path before_, folder_;
};

/// `rows` images u8 [28, 28], black but for two lines whose place tells the class, and the classes,
/// u8.
inline data::TrainAndTest small_images(int64_t rows = 640) {
  Tensor images = Tensor::full(DType::kU8, {rows, 28, 28}, 0);
  Tensor labels(DType::kU8, {rows});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t kind = i % 10;
    labels.data<uint8_t>()[i] = static_cast<uint8_t>(kind);
    std::fill_n(images.data<uint8_t>() + (i * 28 + 2 * kind) * 28, 2 * 28, uint8_t{255});
  }
  const auto dataset = data::Dataset::from_tensor_slices({images, labels});
  return {.train = dataset, .test = dataset.take(rows / 4)};
}

/// A compiled classifier of those images.
inline nn::Model small_classifier() {
  nn::Sequential model({nn::Rescaling({.scale = 1.0 / 255}), nn::Flatten(),
                        nn::Dense({.units = 16, .activation = "relu"}), nn::Dense({.units = 10})});
  model.compile({.optimizer = nn::Adam({.learning_rate = 0.01}),
                 .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  return model;
}

}  // namespace cohort::documents
