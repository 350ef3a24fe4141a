#include "cohort/data/internal/file_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cohort/core/error.h"

namespace cohort::data {
namespace {

constexpr size_t kPendingBytes = size_t{256} << 10;
constexpr int kDeflateBits = 15;
constexpr int kGzipHeader = 16;  // added to the window bits
constexpr int kMemoryLevel = 8;  // zlib's default

}  // namespace

struct FileWriter::Deflater {
  explicit Deflater(Compression compression) {
    const int bits = kDeflateBits + (compression == Compression::kGzip ? kGzipHeader : 0);
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, bits, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK)
      throw ResourceExhausted("zlib: out of memory for a stream");
  }
  ~Deflater() { deflateEnd(&stream); }
  z_stream stream{};
};

FileWriter::FileWriter(std::string path, Compression compression, std::string_view where)
    : path_(std::move(path)), where_(where) {
  if (compression != Compression::kNone) deflater_ = std::make_unique<Deflater>(compression);
  file_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0)
    throw NotFound("{}: {}: got \"{}\"; want a file that can be written", where_, path_,
                   std::strerror(errno));
}

FileWriter::~FileWriter() {
  try {
    close();
  } catch (const std::exception&) {  // a destructor reports nothing
  }
  if (file_ >= 0) ::close(file_);
}

void FileWriter::write(std::string_view bytes) {
  if (file_ < 0)
    throw FailedPrecondition("{}: {}: got bytes after the file was closed; want an open writer",
                             where_, path_);
  pending_.append(bytes);
  if (pending_.size() < kPendingBytes) return;
  if (deflater_)
    deflate(Z_NO_FLUSH);
  else
    flush();
}

void FileWriter::flush() {
  if (deflater_) return deflate(Z_SYNC_FLUSH);
  write_file(pending_.data(), pending_.size());
  pending_.clear();
}

void FileWriter::close() {
  if (file_ < 0) return;
  if (deflater_)
    deflate(Z_FINISH);
  else
    flush();
  const int result = ::close(std::exchange(file_, -1));
  if (result != 0)
    throw ResourceExhausted("{}: {}: got \"{}\" while closing; want a file that can be written",
                            where_, path_, std::strerror(errno));
}

/// Packs all of pending_, in slices that zlib's counters hold.
void FileWriter::deflate(int flush) {
  constexpr size_t kSlice = size_t{1} << 30;
  z_stream& stream = deflater_->stream;
  std::array<char, 1 << 16> packed;
  size_t at = 0;
  bool last;
  do {
    const size_t size = std::min(kSlice, pending_.size() - at);
    last = at + size == pending_.size();
    stream.next_in = reinterpret_cast<Bytef*>(pending_.data() + at);
    stream.avail_in = static_cast<uInt>(size);
    do {
      stream.next_out = reinterpret_cast<Bytef*>(packed.data());
      stream.avail_out = static_cast<uInt>(packed.size());
      ::deflate(&stream, last ? flush : Z_NO_FLUSH);
      write_file(packed.data(), packed.size() - stream.avail_out);
    } while (stream.avail_out == 0);
    at += size;
  } while (!last);
  pending_.clear();
}

void FileWriter::write_file(const char* bytes, size_t size) {
  while (size > 0) {
    const ssize_t done = ::write(file_, bytes, size);
    if (done < 0 && errno != EINTR)
      throw ResourceExhausted("{}: {}: got \"{}\" while writing; want a file that can be written",
                              where_, path_, std::strerror(errno));
    if (done <= 0) continue;
    bytes += done;
    size -= static_cast<size_t>(done);
  }
}

}  // namespace cohort::data
