#include "cohort/checkpoint/data_file.h"

#include <algorithm>

#include "cohort/checkpoint/safetensors.h"
#include "cohort/core/error.h"
#include "cohort/core/wire/crc32c.h"

namespace cohort::checkpoint {
namespace {

/// Appends to a file and sums every block up, while its bytes are in the cache.
class SummedFile {
 public:
  SummedFile(OutputFile& file, FileRecord& record) : file_(file), record_(record) {}

  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const uint64_t in_block = record_.bytes % kBlockBytes;
      if (in_block == 0) record_.crcs.push_back(0);
      const std::string_view part = bytes.substr(0, kBlockBytes - in_block);
      uint32_t& crc = record_.crcs.back();
      crc = wire::crc32c(part.data(), part.size(), crc);
      file_.append(part);
      record_.bytes += part.size();
      bytes.remove_prefix(part.size());
    }
  }

 private:
  OutputFile& file_;
  FileRecord& record_;
};

size_t padding_behind(uint64_t bytes) {
  return static_cast<size_t>((kTensorAlignment - bytes % kTensorAlignment) % kTensorAlignment);
}

struct Layout {
  std::string header;
  std::vector<uint64_t> offsets;
};

Layout lay_out(const std::vector<PieceSource>& pieces,
               const std::map<std::string, std::string>& metadata) {
  Layout layout;
  std::vector<SafetensorsEntry> entries;
  uint64_t at = 0;
  size_t pads = 0;
  for (const PieceSource& piece : pieces) {
    if (const size_t padding = padding_behind(at)) {
      entries.push_back({.name = "~pad/" + std::to_string(pads++),
                         .dtype = DType::kU8,
                         .shape = {static_cast<int64_t>(padding)},
                         .begin = at,
                         .end = at + padding});
      at += padding;
    }
    const int64_t whole = count_elements(piece.shape, piece.dtype, piece.name);
    const bool is_whole = piece.begin == 0 && piece.end == whole;
    const uint64_t bytes = static_cast<uint64_t>(piece.end - piece.begin) * size_of(piece.dtype);
    entries.push_back(
        {.name = entry_name(piece.name, piece.begin, piece.end, whole),
         .dtype = piece.dtype,
         .shape = is_whole ? piece.shape : std::vector<int64_t>{piece.end - piece.begin},
         .begin = at,
         .end = at + bytes});
    layout.offsets.push_back(at);
    at += bytes;
  }
  layout.header = serialize_safetensors_header(entries, metadata, kHeaderAlignment);
  for (uint64_t& offset : layout.offsets) offset += layout.header.size();
  return layout;
}

Tensor value_of(const PieceSource& piece) {
  Tensor value = piece.value().contiguous();
  if (value.dtype() != piece.dtype || value.num_elements() != piece.end - piece.begin)
    throw InvalidArgument("{}: got {} {} to save; want {} elements of {}", piece.name,
                          value.dtype(), value.shape(), piece.end - piece.begin, piece.dtype);
  return value;
}

}  // namespace

std::string entry_name(const std::string& tensor, int64_t begin, int64_t end,
                       int64_t num_elements) {
  if (begin == 0 && end == num_elements) return tensor;
  return tensor + "@" + std::to_string(begin) + ":" + std::to_string(end);
}

WrittenFile write_data_file(Storage& storage, const std::string& directory, const std::string& name,
                            const std::vector<PieceSource>& pieces,
                            const std::map<std::string, std::string>& metadata) {
  for (const PieceSource& piece : pieces) check_tensor_name(piece.name);
  Layout layout = lay_out(pieces, metadata);
  WrittenFile written{.record = {.name = name}, .offsets = std::move(layout.offsets)};
  const std::unique_ptr<OutputFile> file = storage.create(join_path(directory, name));
  SummedFile out(*file, written.record);
  out.append(layout.header);
  static constexpr char kZeros[kTensorAlignment] = {};
  for (size_t i = 0; i < pieces.size(); ++i) {
    out.append({kZeros, static_cast<size_t>(written.offsets[i] - written.record.bytes)});
    const Tensor value = value_of(pieces[i]);
    out.append({static_cast<const char*>(value.raw()), value.num_bytes()});
  }
  file->sync();
  file->close();
  return written;
}

}  // namespace cohort::checkpoint
