#include "cohort/checkpoint/manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "cohort/checkpoint/checked_message.h"
#include "cohort/checkpoint/manifest_checks.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/core/error.h"
#include "cohort/core/wire/protobuf.h"

namespace cohort::checkpoint {
namespace {

constexpr MessageKind kManifest{.magic = 0x4b4354524f484f43,
                                .what = "a checkpoint's manifest"};  // "COHORTCK"

void write_piece(wire::Writer& tensor, const Piece& piece) {
  wire::Writer out;
  out.write_uint(1, static_cast<uint64_t>(piece.begin));
  out.write_uint(2, static_cast<uint64_t>(piece.end));
  out.write_uint(3, piece.file);
  out.write_uint(4, piece.offset);
  tensor.write_message(4, out);
}

void write_tensor(wire::Writer& manifest, const TensorRecord& tensor) {
  wire::Writer out;
  out.write_bytes(1, tensor.name);
  out.write_bytes(2, safetensors_dtype(tensor.dtype));
  const std::vector<uint64_t> shape(tensor.shape.begin(), tensor.shape.end());
  out.write_packed_uint(3, shape);
  for (const Piece& piece : tensor.pieces) write_piece(out, piece);
  manifest.write_message(9, out);
}

/// A number that is no larger than that of an element or byte can be.
int64_t read_position(wire::Reader& in) {
  const uint64_t value = in.read_uint();
  if (value > uint64_t{1} << 62) in.fail(fmt::format("{}", value), "at most 2^62");
  return static_cast<int64_t>(value);
}

Piece read_piece(wire::Reader in) {
  Piece piece;
  while (in.next()) switch (in.field()) {
      case 1:
        piece.begin = read_position(in);
        break;
      case 2:
        piece.end = read_position(in);
        break;
      case 3:
        piece.file = static_cast<uint32_t>(std::min<uint64_t>(in.read_uint(), UINT32_MAX));
        break;
      case 4:
        piece.offset = static_cast<uint64_t>(read_position(in));
        break;
      default:
        in.skip();
    }
  return piece;
}

DType read_dtype(wire::Reader& in) {
  const std::string_view name = in.read_bytes();
  if (const auto dtype = parse_safetensors_dtype(name)) return *dtype;
  in.fail(fmt::format("dtype \"{}\"", name), "F32 F16 BF16 F64 I32 I64 U8 I8 or BOOL");
}

TensorRecord read_tensor(wire::Reader in) {
  TensorRecord tensor;
  std::vector<uint64_t> shape;
  while (in.next()) switch (in.field()) {
      case 1:
        tensor.name = in.read_bytes();
        break;
      case 2:
        tensor.dtype = read_dtype(in);
        break;
      case 3:
        in.read_uints(shape);
        break;
      case 4:
        tensor.pieces.push_back(read_piece(in.read_message()));
        break;
      default:
        in.skip();
    }
  for (const uint64_t size : shape) tensor.shape.push_back(static_cast<int64_t>(size));
  return tensor;
}

FileRecord read_file_record(wire::Reader in) {
  FileRecord file;
  while (in.next()) switch (in.field()) {
      case 1:
        file.name = in.read_bytes();
        break;
      case 2:
        file.bytes = static_cast<uint64_t>(read_position(in));
        break;
      case 3: {
        const std::string_view bytes = in.read_bytes();
        if (bytes.size() % 4 != 0) in.fail(fmt::format("{} bytes", bytes.size()), "4 a checksum");
        for (size_t i = 0; i < bytes.size(); i += 4) {
          uint32_t crc = 0;
          for (size_t k = 0; k < 4; ++k)
            crc |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + k])) << (8 * k);
          file.crcs.push_back(crc);
        }
        break;
      }
      default:
        in.skip();
    }
  return file;
}

std::pair<std::string, std::string> read_fact(wire::Reader in) {
  std::pair<std::string, std::string> fact;
  while (in.next()) switch (in.field()) {
      case 1:
        fact.first = in.read_bytes();
        break;
      case 2:
        fact.second = in.read_bytes();
        break;
      default:
        in.skip();
    }
  return fact;
}

void read_field(wire::Reader& in, Manifest& manifest) {
  switch (in.field()) {
    case 1:
    case 2:
      in.skip();  // known already
      break;
    case 3:
      manifest.step = in.read_uint();
      break;
    case 4:
      manifest.created_ms = in.read_uint();
      break;
    case 5:
      manifest.metric = in.read_double();
      break;
    case 6:
      manifest.trace_hash = in.read_bytes();
      break;
    case 7:
      manifest.facts.push_back(read_fact(in.read_message()));
      break;
    case 8:
      manifest.files.push_back(read_file_record(in.read_message()));
      break;
    case 9:
      manifest.tensors.push_back(read_tensor(in.read_message()));
      break;
    default:
      in.skip();
  }
}

}  // namespace

int64_t TensorRecord::num_elements() const { return count_elements(shape, dtype, name); }

const TensorRecord* Manifest::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors.begin(), tensors.end(), name,
                       [](const TensorRecord& a, std::string_view b) { return a.name < b; });
  return found != tensors.end() && found->name == name ? &*found : nullptr;
}

uint64_t Manifest::num_bytes() const {
  uint64_t total = 0;
  for (const TensorRecord& tensor : tensors) total += tensor.num_bytes();
  return total;
}

std::string serialize(const FileRecord& file) {
  wire::Writer out;
  out.write_bytes(1, file.name);
  out.write_uint(2, file.bytes);
  std::string crcs;
  for (const uint32_t crc : file.crcs)
    for (int k = 0; k < 4; ++k) crcs += static_cast<char>(crc >> (8 * k));
  out.write_bytes(3, crcs);
  return out.take();
}

FileRecord parse_file_record(std::string_view bytes, std::string_view where) {
  const FileRecord file = read_file_record(wire::Reader(bytes, where));
  internal::check_file(file, where);
  return file;
}

std::string serialize(Manifest manifest) {
  std::sort(manifest.tensors.begin(), manifest.tensors.end(),
            [](const TensorRecord& a, const TensorRecord& b) { return a.name < b.name; });
  for (const TensorRecord& tensor : manifest.tensors) check_tensor_name(tensor.name);
  internal::check_manifest(manifest, "manifest");
  wire::Writer out;
  begin_message(out, kManifest);
  out.write_uint(3, manifest.step);
  out.write_uint(4, manifest.created_ms);
  if (manifest.metric) out.write_double(5, *manifest.metric);
  if (!manifest.trace_hash.empty()) out.write_bytes(6, manifest.trace_hash);
  for (const auto& [name, value] : manifest.facts) {
    wire::Writer fact;
    fact.write_bytes(1, name);
    fact.write_bytes(2, value);
    out.write_message(7, fact);
  }
  for (const FileRecord& file : manifest.files) out.write_bytes(8, serialize(file));
  for (const TensorRecord& tensor : manifest.tensors) write_tensor(out, tensor);
  return end_message(std::move(out));
}

Manifest parse_manifest(std::string_view bytes, std::string_view where) {
  Manifest manifest;
  wire::Reader in(message_body(bytes, kManifest, where), where);
  while (in.next()) read_field(in, manifest);
  internal::check_manifest(manifest, where);
  return manifest;
}

uint64_t num_blocks(uint64_t file_bytes) { return (file_bytes + kBlockBytes - 1) / kBlockBytes; }

}  // namespace cohort::checkpoint
