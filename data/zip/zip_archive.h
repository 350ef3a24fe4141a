#pragma once

#include <zip.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cohort/core/error.h"

/// libzip's archives, as the files of this folder use them.
namespace cohort::data::internal {

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;

inline Archive open_zip(const std::string& path, int flags, std::string_view where) {
  int code = 0;
  Archive archive(zip_open(path.c_str(), flags, &code));
  if (archive) return archive;
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw DataLoss("{}: got no zip archive: {}", where, reason);
}

/// One file of an archive, from its beginning to its end.
class Member {
 public:
  Member(zip_t* archive, zip_uint64_t index, std::string_view where) : where_(where) {
    if (zip_stat_index(archive, index, 0, &stat_) != 0 || !(stat_.valid & ZIP_STAT_SIZE))
      throw DataLoss("{}: {}", where_, zip_strerror(archive));
    file_.reset(zip_fopen_index(archive, index, 0));
    if (!file_) throw DataLoss("{}: {}", where_, zip_strerror(archive));
  }

  uint64_t size() const { return stat_.size; }

  void read(void* to, size_t bytes) {
    char* at = static_cast<char*>(to);
    while (bytes > 0) {
      const zip_int64_t done = zip_fread(file_.get(), at, bytes);
      if (done <= 0)
        throw DataLoss("{}: {}", where_,
                       done == 0 ? "the data ends too early" : zip_file_strerror(file_.get()));
      at += done;
      bytes -= static_cast<size_t>(done);
    }
  }
  /// Of what was read, when all of it was.
  void check_sum() {
    char more = 0;
    const zip_int64_t done = zip_fread(file_.get(), &more, 1);
    if (done != 0)
      throw DataLoss("{}: {}", where_,
                     done > 0 ? "the data goes on too long" : zip_file_strerror(file_.get()));
  }

 private:
  std::string where_;
  zip_stat_t stat_{};
  std::unique_ptr<zip_file_t, Discard> file_;
};

}  // namespace cohort::data::internal
