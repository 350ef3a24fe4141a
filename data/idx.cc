#include "cohort/data/idx.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cohort/data/internal/file_reader.h"

namespace cohort::data {
namespace {

constexpr std::string_view kReadIdx = "read_idx";

/// IDX files start with two zero bytes, gzip files never.
Compression compression_of(const std::string& path) {
  constexpr std::array<unsigned char, 2> kGzip{0x1f, 0x8b};
  std::array<unsigned char, 2> start{};
  FileReader(path, Compression::kNone, kReadIdx).read(start.data(), start.size());
  return start == kGzip ? Compression::kGzip : Compression::kNone;
}

DType dtype_of_code(uint8_t code, const std::string& path) {
  switch (code) {
    case 0x08:
      return DType::kU8;
    case 0x09:
      return DType::kI8;
    case 0x0c:
      return DType::kI32;
    case 0x0d:
      return DType::kF32;
    case 0x0e:
      return DType::kF64;
    default:
      break;
  }
  throw DataLoss(
      "read_idx: {}: got type code {:#04x}; want 0x08 (uint8), 0x09 (int8), 0x0c (int32), "
      "0x0d (float32) or 0x0e (float64)",
      path, static_cast<int>(code));
}

struct Header {
  DType dtype;
  Shape shape;
  uint64_t num_bytes = 0;
};

/// `num_elements` times `dimension`; nothing when that is past 2^63.
std::optional<uint64_t> times(uint64_t num_elements, uint64_t dimension) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(num_elements, dimension, &product) || product >> 63)
    return std::nullopt;
  return product;
}

Header read_header(FileReader& input, const std::string& path) {
  std::array<uint8_t, 4> magic{};
  const uint64_t got = input.read(magic.data(), magic.size());
  if (got < magic.size())
    throw DataLoss("read_idx: {}: got {} bytes; want a header of 4 bytes and more", path, got);
  if (magic[0] != 0 || magic[1] != 0)
    throw DataLoss("read_idx: {}: got a file that starts with {:02x} {:02x}; want 00 00 (IDX)",
                   path, magic[0], magic[1]);
  Header header{.dtype = dtype_of_code(magic[2], path)};
  std::optional<uint64_t> num_bytes = size_of(header.dtype);
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::array<uint8_t, 4> b{};
    if (input.read(b.data(), b.size()) < b.size())
      throw DataLoss("read_idx: {}: got the end of the file in dimension {}; want {} dimensions",
                     path, axis, static_cast<int>(magic[3]));
    const uint32_t dimension =
        uint32_t{b[0]} << 24 | uint32_t{b[1]} << 16 | uint32_t{b[2]} << 8 | b[3];
    header.shape.push_back(Dim(static_cast<int64_t>(dimension)));
    if (num_bytes) num_bytes = times(*num_bytes, dimension);
  }
  if (!num_bytes || *num_bytes > input.offset() + input.most_left())
    throw DataLoss("read_idx: {}: got a header of shape {}; want one whose values fit in the file",
                   path, header.shape);
  header.num_bytes = *num_bytes;
  return header;
}

template <class Word>
void swap_bytes(void* data, size_t num_bytes) {
  for (size_t at = 0; at < num_bytes; at += sizeof(Word)) {
    char* bytes = static_cast<char*>(data) + at;
    std::reverse(bytes, bytes + sizeof(Word));
  }
}

std::string find_file(const std::string& directory, const std::string& name) {
  const std::string plain = directory + "/" + name;
  struct stat status {};
  for (const std::string& path : {plain, plain + ".gz"})
    if (stat(path.c_str(), &status) == 0) return path;
  throw NotFound("load_mnist_files: {}: got neither {} nor {}.gz; want one of them", directory,
                 name, name);
}

}  // namespace

Tensor read_idx(const std::string& path) {
  FileReader input(path, compression_of(path), kReadIdx);
  const Header header = read_header(input, path);
  Tensor tensor(header.dtype, header.shape);
  const uint64_t got = input.read(tensor.raw(), header.num_bytes);
  if (got < header.num_bytes)
    throw DataLoss("read_idx: {}: got {} bytes of values; want {} for shape {}", path, got,
                   header.num_bytes, header.shape);
  char extra = 0;
  if (input.read(&extra, 1) != 0)
    throw DataLoss("read_idx: {}: got more than {} bytes of values; want as many for shape {}",
                   path, header.num_bytes, header.shape);
  if (size_of(header.dtype) == 4) swap_bytes<uint32_t>(tensor.raw(), tensor.num_bytes());
  if (size_of(header.dtype) == 8) swap_bytes<uint64_t>(tensor.raw(), tensor.num_bytes());
  return tensor;
}

Dataset Dataset::from_idx(const std::vector<std::string>& paths) {
  if (paths.empty()) throw InvalidArgument("from_idx: got no files; want at least one");
  Element components;
  for (const std::string& path : paths) {
    components.push_back(read_idx(path));
    const Shape& shape = components.back().shape();
    if (shape.rank() == 0)
      throw InvalidArgument("from_idx: {}: got a scalar; want rank 1 or more", path);
    if (shape[0] != components[0].shape()[0])
      throw InvalidArgument("from_idx: {}: got {} rows (shape {}); want {} as in {}", path,
                            shape[0], shape, components[0].shape()[0], paths[0]);
  }
  return from_tensor_slices(std::move(components));
}

TrainAndTest load_mnist_files(const std::string& directory) {
  const auto load = [&](const std::string& part) {
    return Dataset::from_idx({find_file(directory, part + "-images-idx3-ubyte"),
                              find_file(directory, part + "-labels-idx1-ubyte")});
  };
  return {.train = load("train"), .test = load("t10k")};
}

}  // namespace cohort::data
