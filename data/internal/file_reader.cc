#include "cohort/data/internal/file_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "cohort/core/error.h"

namespace cohort::data {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kPackedBytes = size_t{64} << 10;
constexpr int kWindowBits = 15;
constexpr int kGzipWrapper = 16;       // added to the window bits
constexpr uint64_t kBestRatio = 1032;  // deflate packs to 1/1032 at best

}  // namespace

struct FileReader::Inflater {
  explicit Inflater(Compression compression)
      : gzip(compression == Compression::kGzip), input(new char[kPackedBytes]) {
    if (inflateInit2(&stream, kWindowBits + (gzip ? kGzipWrapper : 0)) != Z_OK)
      throw ResourceExhausted("zlib: out of memory for a stream");
  }
  ~Inflater() { inflateEnd(&stream); }

  enum class Place { kStart, kWithin, kBehind };  ///< a stream (of gzip: a member)

  bool gzip;
  std::unique_ptr<char[]> input;
  z_stream stream{};
  Place place = Place::kStart;
};

FileReader::FileReader(std::string path, Compression compression, std::string_view where)
    : path_(std::move(path)), where_(where), buffer_(new char[kBufferBytes]) {
  if (compression != Compression::kNone) inflater_ = std::make_unique<Inflater>(compression);
  file_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file_ < 0 || fstat(file_, &status) != 0) {
    const int error = errno;
    if (file_ >= 0) close(file_);
    throw NotFound("{}: {}: got \"{}\"; want a file that can be read", where_, path_,
                   std::strerror(error));
  }
  if (!S_ISREG(status.st_mode)) {
    close(file_);
    throw InvalidArgument("{}: {}: got something that is no regular file; want one", where_, path_);
  }
  file_size_ = static_cast<uint64_t>(status.st_size);
}

FileReader::~FileReader() { close(file_); }

void FileReader::begin_text() {
  using namespace std::string_view_literals;
  constexpr std::string_view kUtf8 = "\xEF\xBB\xBF"sv, kGzip = "\x1F\x8B"sv;
  constexpr std::string_view kUtf16[] = {"\xFF\xFE"sv, "\xFE\xFF"sv};
  while (end_ < kUtf8.size()) {
    const size_t got = read_some(buffer_.get() + end_, kBufferBytes - end_);
    if (got == 0) break;
    end_ += got;
  }
  const std::string_view start(buffer_.get(), end_);
  for (const std::string_view mark : kUtf16)
    if (start.starts_with(mark))
      throw InvalidArgument("{}: {}: got text in UTF-16; want UTF-8", where_, path_);
  if (!inflater_ && start.starts_with(kGzip))
    throw InvalidArgument("{}: {}: got a gzip file; want text, or Compression::kGzip", where_,
                          path_);
  if (start.starts_with(kUtf8)) consume(kUtf8.size());
}

std::string_view FileReader::ready() {
  if (begin_ == end_) {
    begin_ = 0;
    end_ = read_some(buffer_.get(), kBufferBytes);
  }
  return {buffer_.get() + begin_, end_ - begin_};
}

void FileReader::consume(size_t count) {
  begin_ += count;
  offset_ += count;
}

size_t FileReader::read(void* out, size_t size) {
  char* to = static_cast<char*>(out);
  size_t done = 0;
  while (done < size) {
    size_t got;
    if (begin_ == end_ && size - done >= kBufferBytes) {
      got = read_some(to + done, size - done);  // past the buffer
      offset_ += got;
    } else {
      const std::string_view bytes = ready();
      got = std::min(bytes.size(), size - done);
      std::memcpy(to + done, bytes.data(), got);
      consume(got);
    }
    if (got == 0) break;
    done += got;
  }
  return done;
}

uint64_t FileReader::skip(uint64_t count) {
  uint64_t done = std::min<uint64_t>(count, end_ - begin_);
  consume(done);
  if (!inflater_ && done < count) {
    const uint64_t step = std::min(count - done, most_left());
    if (lseek(file_, static_cast<off_t>(step), SEEK_CUR) < 0)
      throw DataLoss("{}: {}: got \"{}\" while seeking", where_, path_, std::strerror(errno));
    offset_ += step;
    return done + step;
  }
  while (done < count) {
    const size_t step = std::min<uint64_t>(ready().size(), count - done);
    if (step == 0) break;
    consume(step);
    done += step;
  }
  return done;
}

uint64_t FileReader::most_left() const {
  const uint64_t most = inflater_ ? (file_size_ + 1) * kBestRatio : file_size_;
  return most > offset_ ? most - offset_ : 0;
}

size_t FileReader::read_file(char* out, size_t size) {
  for (;;) {
    const ssize_t got = ::read(file_, out, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR)
      throw DataLoss("{}: {}: got \"{}\" while reading; want a file that can be read", where_,
                     path_, std::strerror(errno));
  }
}

size_t FileReader::read_some(char* out, size_t size) {
  return inflater_ ? inflate_some(out, size) : read_file(out, size);
}

size_t FileReader::inflate_some(char* out, size_t size) {
  using Place = Inflater::Place;
  z_stream& stream = inflater_->stream;
  size = std::min<size_t>(size, std::numeric_limits<uInt>::max());
  stream.next_out = reinterpret_cast<Bytef*>(out);
  stream.avail_out = static_cast<uInt>(size);
  while (stream.avail_out == size) {
    if (stream.avail_in == 0 && !fill_input()) break;
    if (inflater_->place == Place::kBehind && !begin_next_stream()) continue;
    inflater_->place = Place::kWithin;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_STREAM_END)
      inflater_->place = Place::kBehind;
    else if (result != Z_OK && result != Z_BUF_ERROR)
      fail_packed(stream.msg ? stream.msg : zError(result));
  }
  return size - stream.avail_out;
}

bool FileReader::fill_input() {
  z_stream& stream = inflater_->stream;
  stream.next_in = reinterpret_cast<Bytef*>(inflater_->input.get());
  stream.avail_in = static_cast<uInt>(read_file(inflater_->input.get(), kPackedBytes));
  if (stream.avail_in > 0) return true;
  if (inflater_->place == Inflater::Place::kWithin) fail_packed("the end of the file");
  return false;
}

/// Passes over zero bytes, with which tar and tapes fill up their last block; false where nothing
/// else is at hand. A gzip file may hold several members; a zlib stream stands alone.
bool FileReader::begin_next_stream() {
  z_stream& stream = inflater_->stream;
  for (; stream.avail_in > 0 && *stream.next_in == 0; ++stream.next_in) --stream.avail_in;
  if (stream.avail_in == 0) return false;
  if (!inflater_->gzip) fail_packed("bytes after the end of the stream");
  inflateReset(&stream);
  return true;
}

void FileReader::fail_packed(std::string_view got) const {
  throw DataLoss("{}: {}: got {} after {} unpacked bytes; want a whole {} stream", where_, path_,
                 got, offset_, inflater_->gzip ? "gzip" : "zlib");
}

}  // namespace cohort::data
