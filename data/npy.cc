#include "cohort/data/npy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "cohort/data/internal/file_reader.h"
#include "cohort/data/internal/file_writer.h"
#include "cohort/data/internal/npy.h"

namespace cohort::data {
namespace internal {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;  // of the elements
constexpr int64_t kMostBytes = int64_t{1} << 62;
static_assert(std::endian::native == std::endian::little);

/// NumPy's kinds and sizes: "f4".
constexpr std::pair<DType, std::string_view> kTypes[] = {
    {DType::kBool, "b1"}, {DType::kU8, "u1"},  {DType::kI8, "i1"},  {DType::kI32, "i4"},
    {DType::kI64, "i8"},  {DType::kF16, "f2"}, {DType::kF32, "f4"}, {DType::kF64, "f8"}};

/// The header's dictionary, as Python writes one of a string, a bool and a tuple of integers.
class Dictionary {
 public:
  Dictionary(std::string_view text, std::string_view where) : text_(text), where_(where) {
    expect('{');
    while (!accept('}')) {
      read_member();
      if (!accept(',') && !peek('}')) fail();
    }
    skip_spaces();
    if (at_ != text_.size() || !descr_ || !fortran_order_ || !shape_) fail();
  }

  const std::string& descr() const { return *descr_; }
  bool fortran_order() const { return *fortran_order_; }
  const std::vector<int64_t>& shape() const { return *shape_; }

 private:
  [[noreturn]] void fail() const {
    throw DataLoss(
        "{}: got the header \"{}\"; want {{'descr': '<f4', 'fortran_order': False, 'shape': (2, "
        "3), }}",
        where_, printable(text_.substr(0, 200)));
  }
  static std::string printable(std::string_view text) {
    std::string result(text);
    for (char& c : result)
      if (c < ' ' || c > '~') c = '?';
    return result;
  }

  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool peek(char c) {
    skip_spaces();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool accept(char c) {
    if (!peek(c)) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  bool accept_word(std::string_view word) {
    skip_spaces();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::string read_string() {
    const char quote = peek('"') ? '"' : '\'';
    expect(quote);
    const size_t end = text_.find(quote, at_);
    if (end == text_.npos) fail();
    std::string value(text_.substr(at_, end - at_));
    at_ = end + 1;
    return value;
  }

  void read_member() {
    const std::string key = read_string();
    expect(':');
    if (key == "descr" && !descr_) {
      // A list of fields is a record: its text stands for it.
      descr_ = peek('[') ? "records" : read_string();
      if (*descr_ == "records")
        throw Unimplemented("{}: got an array of records; want one of numbers", where_);
    } else if (key == "fortran_order" && !fortran_order_) {
      fortran_order_ = accept_word("True");
      if (!*fortran_order_ && !accept_word("False")) fail();
    } else if (key == "shape" && !shape_) {
      read_shape();
    } else {
      fail();
    }
  }

  void read_shape() {
    shape_.emplace();
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      int64_t size = -1;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) fail();
      at_ = static_cast<size_t>(end - text_.data());
      shape_->push_back(size);
      if (!accept(',') && !peek(')')) fail();
    }
  }

  std::string_view text_, where_;
  size_t at_ = 0;
  std::optional<std::string> descr_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<int64_t>> shape_;
};

void set_type(NpyHeader& header, const std::string& descr, std::string_view where) {
  for (const auto& [dtype, name] : kTypes)
    if (descr.size() == 3 && descr.substr(1) == name &&
        std::string_view("<>=|").find(descr[0]) != std::string_view::npos) {
      header.dtype = dtype;
      header.swapped = descr[0] == '>' && size_of(dtype) > 1;
      return;
    }
  std::vector<std::string_view> names;
  for (const auto& [dtype, name] : kTypes) names.push_back(name);
  throw Unimplemented("{}: got elements of type \"{}\"; want {}", where, descr.substr(0, 40),
                      fmt::join(names, ", "));
}

void check_size(const std::vector<int64_t>& shape, DType dtype, std::string_view where) {
  int64_t most = kMostBytes / static_cast<int64_t>(size_of(dtype));
  for (const int64_t size : shape)
    if (size > 0) most /= size;
  if (most == 0)
    throw DataLoss("{}: got a shape ({}) of more than 2^62 bytes; want less", where,
                   fmt::join(shape, ", "));
}

template <size_t kSize>
void swap_bytes(std::byte* bytes, size_t count) {
  for (size_t i = 0; i < count; ++i) std::reverse(bytes + i * kSize, bytes + (i + 1) * kSize);
}

template <class T>
void to_c_order(const T* from, T* to, const std::vector<int64_t>& shape) {
  std::vector<int64_t> index(shape.size(), 0), stride(shape.size(), 1);
  for (size_t axis = 1; axis < shape.size(); ++axis)
    stride[axis] = stride[axis - 1] * shape[axis - 1];
  int64_t at = 0;
  for (;;) {
    *to++ = from[at];
    size_t axis = shape.size();
    for (; axis > 0; --axis) {
      at += stride[axis - 1];
      if (++index[axis - 1] < shape[axis - 1]) break;
      at -= stride[axis - 1] * shape[axis - 1];
      index[axis - 1] = 0;
    }
    if (axis == 0) return;
  }
}

}  // namespace

NpyHeader read_npy_header(std::string_view begin, std::string_view where) {
  if (!begin.starts_with(kMagic) || begin.size() < kMagic.size() + 2)
    throw DataLoss("{}: got another beginning than \"\\x93NUMPY\"; want NumPy's format .npy",
                   where);
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(begin[i])); };
  const size_t version = byte(kMagic.size());
  if (version < 1 || version > 3)
    throw Unimplemented("{}: got version {}.{} of the format; want 1.0 to 3.0", where, version,
                        byte(kMagic.size() + 1));
  const size_t length_bytes = version == 1 ? 2 : 4;
  size_t at = kMagic.size() + 2;
  size_t length = 0;
  if (begin.size() >= at + length_bytes)
    for (size_t i = 0; i < length_bytes; ++i) length |= byte(at + i) << (8 * i);
  at += length_bytes;
  if (begin.size() < at || begin.size() - at < length)
    throw DataLoss("{}: got a header of {} bytes and {} in the file; want at most {}", where,
                   length, begin.size(), kMaxNpyHeader);
  const Dictionary dictionary(begin.substr(at, length), where);
  NpyHeader header{.fortran_order = dictionary.fortran_order(), .num_bytes = at + length};
  set_type(header, dictionary.descr(), where);
  check_size(dictionary.shape(), header.dtype, where);
  header.shape = Shape(dictionary.shape());
  return header;
}

std::string npy_header(const Tensor& array, std::string_view where) {
  std::string_view type;
  for (const auto& [dtype, name] : kTypes)
    if (dtype == array.dtype()) type = name;
  if (type.empty())
    throw Unimplemented("{}: got {}, which NumPy does not have; want another dtype, see ops::cast",
                        where, array.dtype());
  const std::vector<int64_t> shape = array.shape().numbers();
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                 size_of(array.dtype()) == 1 ? '|' : '<', type,
                                 fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
  const size_t before = kMagic.size() + 4;
  const size_t end = (before + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  text.resize(end - before - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header +=
      {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

Tensor to_tensor(const NpyHeader& header, Tensor elements) {
  if (elements.num_elements() == 0) return elements;
  auto* bytes = static_cast<std::byte*>(elements.raw());
  const auto count = static_cast<size_t>(elements.num_elements());
  if (header.swapped) {
    if (size_of(header.dtype) == 2) swap_bytes<2>(bytes, count);
    if (size_of(header.dtype) == 4) swap_bytes<4>(bytes, count);
    if (size_of(header.dtype) == 8) swap_bytes<8>(bytes, count);
  }
  if (header.dtype == DType::kBool)
    for (size_t i = 0; i < count; ++i)  // any other byte than 0 is true
      bytes[i] = bytes[i] == std::byte{0} ? std::byte{0} : std::byte{1};
  if (!header.fortran_order || header.shape.rank() < 2) return elements;
  Tensor ordered(header.dtype, header.shape);
  const std::vector<int64_t> shape = header.shape.numbers();
  const auto reorder = [&]<class T>(T) {
    to_c_order(static_cast<const T*>(elements.raw()), static_cast<T*>(ordered.raw()), shape);
  };
  switch (size_of(header.dtype)) {
    case 1:
      reorder(uint8_t{});
      break;
    case 2:
      reorder(uint16_t{});
      break;
    case 4:
      reorder(uint32_t{});
      break;
    default:
      reorder(uint64_t{});
  }
  return ordered;
}

}  // namespace internal

Tensor load_npy(const std::string& path) {
  const std::string where = "load_npy: " + path;
  FileReader file(path, Compression::kNone, "load_npy");
  std::string begin(std::min<uint64_t>(file.most_left(), internal::kMaxNpyHeader), '\0');
  begin.resize(file.read(begin.data(), begin.size()));
  const internal::NpyHeader header = internal::read_npy_header(begin, where);
  const size_t there = begin.size() - header.num_bytes;
  const uint64_t data_bytes = there + file.most_left();
  if (data_bytes != header.data_bytes())
    throw DataLoss("{}: got {} bytes behind the header; want {} for {} of {}", where, data_bytes,
                   header.data_bytes(), header.dtype, header.shape);
  Tensor elements(header.dtype, header.shape);
  auto* to = static_cast<char*>(elements.raw());
  std::copy_n(begin.data() + header.num_bytes, there, to);
  const size_t left = elements.num_bytes() - there;
  if (file.read(to + there, left) != left)
    throw DataLoss("{}: got an end before byte {}; want it there", where,
                   header.num_bytes + header.data_bytes());
  return internal::to_tensor(header, std::move(elements));
}

constexpr size_t kPiece = 1 << 20;  // a writer keeps a copy of what it is given

void save_npy(const std::string& path, const Tensor& array) {
  const std::string header = internal::npy_header(array, "save_npy: " + path);
  const std::string partial = path + ".saving-" + std::to_string(::getpid());
  try {
    FileWriter file(partial, Compression::kNone, "save_npy");
    file.write(header);
    const std::string_view elements(static_cast<const char*>(array.raw()), array.num_bytes());
    for (size_t at = 0; at < elements.size(); at += kPiece) file.write(elements.substr(at, kPiece));
    file.close();
    std::filesystem::rename(partial, path);
  } catch (const std::filesystem::filesystem_error& error) {
    ::unlink(partial.c_str());
    throw FailedPrecondition("save_npy: {}", error.what());
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
}

}  // namespace cohort::data
