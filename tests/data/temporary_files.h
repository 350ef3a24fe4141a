#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cohort/data/tfrecord.h"

namespace cohort::data {

/// A directory of its own, gone with the object.
class TemporaryFiles {
 public:
  TemporaryFiles()
      : directory_(
            std::filesystem::temp_directory_path() /
            ("cohort_data_" + std::to_string(getpid()) + "_" + std::to_string(next_number()))) {
    std::filesystem::create_directories(directory_);
  }
  ~TemporaryFiles() { std::filesystem::remove_all(directory_); }
  TemporaryFiles(const TemporaryFiles&) = delete;
  TemporaryFiles& operator=(const TemporaryFiles&) = delete;

  std::string path(const std::string& name) const { return directory_ / name; }

  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  std::string write_records(const std::string& name, const std::vector<std::string>& records,
                            Compression compression = Compression::kNone) const {
    TFRecordWriter writer(path(name), {.compression = compression});
    for (const std::string& record : records) writer.write(record);
    writer.close();
    return path(name);
  }
  /// "Record r of file f", `num_records` of them in each of `num_files` files.
  std::vector<std::string> write_numbered_records(int num_files, int num_records) const {
    std::vector<std::string> files;
    for (int f = 0; f < num_files; ++f) {
      std::vector<std::string> records;
      for (int r = 0; r < num_records; ++r) records.push_back(numbered(f, r));
      std::string name = "tf_record." + std::string(f < 10 ? "0" : "") + std::to_string(f);
      files.push_back(write_records(name + ".tfrecord", records));
    }
    return files;
  }
  static std::string numbered(int file, int record) {
    return "Record " + std::to_string(record) + " of file " + std::to_string(file);
  }

  static std::string read(const std::string& path) {
    std::ostringstream bytes;
    bytes << std::ifstream(path, std::ios::binary).rdbuf();
    return bytes.str();
  }

 private:
  static int next_number() {
    static std::atomic<int> number{0};
    return number++;
  }
  std::filesystem::path directory_;
};

}  // namespace cohort::data
