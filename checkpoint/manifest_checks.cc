#include "cohort/checkpoint/manifest_checks.h"

#include <fmt/format.h>

#include <set>

#include "cohort/checkpoint/safetensors.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint {
namespace {

constexpr size_t kMaxNameBytes = 4096;

/// Bytes of the UTF-8 sequence that begins here; 0 where none does (RFC 3629).
size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool too_long = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool no_character = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return too_long || no_character ? 0 : size;
}

/// Why a tensor may not have this name; empty where it may.
std::string_view objection_to(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) return "1 to 4096 bytes";
  if (name.front() == '~') return "a name that does not begin with \"~\"";
  if (name == "__metadata__") return "another name";
  for (size_t i = 0; i < name.size();) {
    const auto byte = static_cast<unsigned char>(name[i]);
    if (byte < 0x20 || byte == 0x7f) return "a name without control characters";
    if (byte == '@') return "a name without \"@\"";
    const size_t size = utf8_sequence(name.substr(i));
    if (size == 0) return "UTF-8";
    i += size;
  }
  return "";
}

bool is_plain_file_name(std::string_view name) {
  return objection_to(name).empty() && name.find('/') == name.npos && name.front() != '.';
}

void check_pieces(const TensorRecord& tensor, const Manifest& manifest, std::string_view where) {
  const int64_t elements = count_elements(tensor.shape, tensor.dtype, where);
  int64_t at = 0;
  for (const Piece& piece : tensor.pieces) {
    if (piece.begin != at || piece.end <= piece.begin || piece.end > elements)
      throw DataLoss("{}: got elements {} to {} of {} behind the first {}; want the next ones",
                     where, piece.begin, piece.end, elements, at);
    if (piece.file >= manifest.files.size())
      throw DataLoss("{}: got file {} of {}; want one of them", where, piece.file,
                     manifest.files.size());
    const FileRecord& file = manifest.files[piece.file];
    const uint64_t bytes = static_cast<uint64_t>(piece.end - piece.begin) * size_of(tensor.dtype);
    if (piece.offset > file.bytes || bytes > file.bytes - piece.offset)
      throw DataLoss("{}: got {} bytes at {} of {}, which has {}; want them inside", where, bytes,
                     piece.offset, file.name, file.bytes);
    at = piece.end;
  }
  if (at != elements)
    throw DataLoss("{}: got {} of {} elements; want all of them", where, at, elements);
}

}  // namespace

void check_tensor_name(std::string_view name) {
  if (const std::string_view wanted = objection_to(name); !wanted.empty())
    throw InvalidArgument("checkpoint: got a tensor called \"{}\"; want {}", name.substr(0, 200),
                          wanted);
}

void internal::check_file(const FileRecord& file, std::string_view where) {
  if (!is_plain_file_name(file.name))
    throw DataLoss("{}: got a file called \"{}\"; want a plain name", where,
                   file.name.substr(0, 200));
  if (file.crcs.size() != num_blocks(file.bytes))
    throw DataLoss("{}: {}: got {} checksums for {} bytes; want {}", where, file.name,
                   file.crcs.size(), file.bytes, num_blocks(file.bytes));
}

void internal::check_manifest(const Manifest& manifest, std::string_view where) {
  std::set<std::string_view> names;
  for (const FileRecord& file : manifest.files) {
    check_file(file, where);
    if (!names.insert(file.name).second)
      throw DataLoss("{}: got file {} twice; want different ones", where, file.name);
  }
  std::string_view last;
  for (const TensorRecord& tensor : manifest.tensors) {
    if (!objection_to(tensor.name).empty() || tensor.name <= last)
      throw DataLoss("{}: got a tensor called \"{}\" behind \"{}\"; want ascending names", where,
                     tensor.name.substr(0, 200), last.substr(0, 200));
    check_pieces(tensor, manifest, fmt::format("{}: {}", where, tensor.name));
    last = tensor.name;
  }
}

}  // namespace cohort::checkpoint
