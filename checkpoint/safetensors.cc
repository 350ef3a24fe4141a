#include "cohort/checkpoint/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cohort/core/error.h"

namespace cohort::checkpoint {
namespace {

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as other readers have it
constexpr int64_t kMaxBytes = int64_t{1} << 62;
constexpr size_t kMaxRank = 64;
constexpr const char* kMetadata = "__metadata__";

constexpr std::pair<DType, std::string_view> kDTypes[] = {
    {DType::kF32, "F32"}, {DType::kF16, "F16"}, {DType::kBF16, "BF16"},
    {DType::kF64, "F64"}, {DType::kI32, "I32"}, {DType::kI64, "I64"},
    {DType::kU8, "U8"},   {DType::kI8, "I8"},   {DType::kBool, "BOOL"},
};
constexpr std::string_view kForeignDTypes[] = {
    "F4",  "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3",     "F8_E8M0",    "I16",
    "U16", "U32",     "U64",     "C64",     "F8_E4M3FNUZ", "F8_E5M2FNUZ"};

/// Takes a header's JSON value by value, and nothing that does not belong there: no tree is built,
/// whatever a file holds. Depth 1 has the names, 2 the members of one, 3 the numbers of a list.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderHandler(SafetensorsHeader& header, std::string_view where)
      : header_(header), where_(where) {}

  bool start_object(size_t) override {
    if (depth_ > 1 || in_list_) refuse("an object in an object");
    if (++depth_ == 2 && !in_metadata()) entry_ = {.name = name_};
    return true;
  }
  bool key(std::string& key) override {
    if (depth_ == 1) {
      if (!names_.insert(key).second) refuse(fmt::format("\"{}\" twice", key));
      name_ = key;
    } else if (!members_.insert(key).second) {
      refuse(fmt::format("\"{}\" twice", key));
    }
    member_ = key;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1) {
      if (!in_metadata()) finish_entry();
      members_.clear();
    }
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_list_ || in_metadata() ||
        (member_ != "shape" && member_ != "data_offsets"))
      refuse("a list");
    in_list_ = true;
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    return true;
  }
  bool string(std::string& value) override {
    if (depth_ != 2 || in_list_) refuse("a string");
    if (in_metadata())
      header_.metadata[member_] = value;
    else if (member_ == "dtype")
      entry_.dtype = parse_dtype(value);
    else
      refuse("a string");
    return true;
  }
  bool number_unsigned(uint64_t value) override {
    if (!in_list_) refuse("a number");
    if (value > static_cast<uint64_t>(kMaxBytes)) refuse(fmt::format("{}", value));
    std::vector<int64_t>& list = member_ == "shape" ? entry_.shape : offsets_;
    if (list.size() == kMaxRank) refuse(fmt::format("a list of more than {} numbers", kMaxRank));
    list.push_back(static_cast<int64_t>(value));
    return true;
  }
  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("a boolean"); }
  bool number_integer(int64_t value) override { refuse(fmt::format("{}", value)); }
  bool number_float(double, const std::string& text) override { refuse(text); }
  bool binary(nlohmann::json::binary_t&) override { refuse("bytes"); }
  bool parse_error(size_t at, const std::string&, const nlohmann::json::exception&) override {
    throw DataLoss("{}: header: got something else than JSON at its byte {}; want a JSON object",
                   where_, at);
  }

 private:
  bool in_metadata() const { return name_ == kMetadata; }

  [[noreturn]] void refuse(const std::string& got) const {
    throw DataLoss(
        "{}: header: \"{}\": got {}; want {{\"dtype\": …, \"shape\": […], \"data_offsets\": "
        "[begin, end]}}, or strings under \"{}\"",
        where_, name_, got, kMetadata);
  }

  DType parse_dtype(const std::string& name) const {
    if (const auto dtype = parse_safetensors_dtype(name)) return *dtype;
    const std::string got = fmt::format("{}: \"{}\": got dtype {}", where_, name_, name);
    if (std::find(std::begin(kForeignDTypes), std::end(kForeignDTypes), name) !=
        std::end(kForeignDTypes))
      throw Unimplemented("{}; want one of F32 F16 BF16 F64 I32 I64 U8 I8 BOOL", got);
    throw DataLoss("{}; want one of F32 F16 BF16 F64 I32 I64 U8 I8 BOOL", got);
  }

  void finish_entry() {
    for (const char* member : {"dtype", "shape", "data_offsets"})
      if (!members_.contains(member)) refuse(fmt::format("no \"{}\"", member));
    if (members_.size() != 3) refuse("more members");
    if (offsets_.size() != 2 || offsets_[0] > offsets_[1]) refuse("other data_offsets");
    entry_.begin = static_cast<uint64_t>(offsets_[0]);
    entry_.end = static_cast<uint64_t>(offsets_[1]);
    header_.entries.push_back(std::move(entry_));
    offsets_.clear();
  }

  SafetensorsHeader& header_;
  std::string_view where_;
  int depth_ = 0;
  bool in_list_ = false;
  std::string name_, member_;
  std::set<std::string> names_, members_;
  SafetensorsEntry entry_;
  std::vector<int64_t> offsets_;
};

/// Every byte behind the header belongs to one entry.
void check_layout(SafetensorsHeader& header, uint64_t data_bytes, std::string_view where) {
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    const std::string name = fmt::format("{}: \"{}\"", where, entry.name);
    const uint64_t wanted = static_cast<uint64_t>(count_elements(entry.shape, entry.dtype, name)) *
                            size_of(entry.dtype);
    if (entry.end - entry.begin != wanted)
      throw DataLoss("{}: got {} bytes for {} [{}]; want {}", name, entry.end - entry.begin,
                     entry.dtype, fmt::join(entry.shape, ", "), wanted);
    if (entry.begin != at)
      throw DataLoss("{}: got byte {} of the data as its first; want {}: no gap and no overlap",
                     name, entry.begin, at);
    at = entry.end;
  }
  if (at != data_bytes)
    throw DataLoss("{}: got {} bytes behind the header; want {}, as the tensors say", where,
                   data_bytes, at);
}

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  for (const auto& [known, name] : kDTypes)
    if (known == dtype) return name;
  throw Internal("safetensors: got dtype {}", dtype);
}

std::optional<DType> parse_safetensors_dtype(std::string_view name) {
  for (const auto& [dtype, known] : kDTypes)
    if (known == name) return dtype;
  return {};
}

int64_t count_elements(const std::vector<int64_t>& shape, DType dtype, std::string_view where) {
  const auto most = kMaxBytes / static_cast<int64_t>(size_of(dtype));
  int64_t count = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0) throw DataLoss("{}: got a dimension of {}; want 0 or more", where, size);
    if (size == 0) empty = true;
    if (size > 0 && count > most / size)
      throw DataLoss("{}: got a shape [{}] of more than 2^62 bytes; want less", where,
                     fmt::join(shape, ", "));
    if (size > 0) count *= size;
  }
  return empty ? 0 : count;
}

std::string serialize_safetensors_header(const std::vector<SafetensorsEntry>& entries,
                                         const std::map<std::string, std::string>& metadata,
                                         size_t alignment) {
  std::string header(kLengthBytes, '\0');
  header += '{';
  const auto name = [&](std::string_view text) {
    if (header.back() != '{') header += ',';
    header += nlohmann::json(text).dump() + ":";
  };
  if (!metadata.empty()) {
    name(kMetadata);
    header += nlohmann::json(metadata).dump();
  }
  for (const SafetensorsEntry& entry : entries) {
    name(entry.name);
    fmt::format_to(
        std::back_inserter(header), R"({{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
        safetensors_dtype(entry.dtype), fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  header += '}';
  header.resize((header.size() + alignment - 1) / alignment * alignment, ' ');
  const uint64_t length = header.size() - kLengthBytes;
  if (length > kMaxHeaderBytes)
    throw ResourceExhausted(
        "safetensors: got a header of {} bytes for {} tensors; want at most {}: fewer tensors in "
        "one file",
        length, entries.size(), kMaxHeaderBytes);
  for (size_t i = 0; i < kLengthBytes; ++i) header[i] = static_cast<char>(length >> (8 * i));
  return header;
}

SafetensorsHeader read_safetensors_header(const InputFile& file, std::string_view where) {
  unsigned char bytes[kLengthBytes];
  if (file.size() < kLengthBytes)
    throw DataLoss("{}: got a file of {} bytes; want a safetensors file", where, file.size());
  file.read(0, bytes, kLengthBytes);
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  const uint64_t most = std::min(file.size() - kLengthBytes, kMaxHeaderBytes);
  if (length > most)
    throw DataLoss("{}: got a header of {} bytes; want at most {}: no safetensors file, or cut off",
                   where, length, most);
  std::string json(length, '\0');
  file.read(kLengthBytes, json.data(), json.size());
  if (json.find_first_not_of(" \t\r\n") == json.npos ||
      json[json.find_first_not_of(" \t\r\n")] != '{')
    throw DataLoss("{}: header: got something else than a JSON object; want one", where);
  SafetensorsHeader header;
  header.num_bytes = kLengthBytes + length;
  HeaderHandler handler(header, where);
  nlohmann::json::sax_parse(json, &handler);
  check_layout(header, file.size() - header.num_bytes, where);
  return header;
}

}  // namespace cohort::checkpoint
