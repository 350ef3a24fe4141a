#include "cohort/data/example.h"

#include <bit>
#include <cstring>
#include <set>
#include <string_view>

#include "cohort/core/wire/protobuf.h"
#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

constexpr std::string_view kParseExample = "parse_example";
// Fields of the messages in example.h; a list's number says its kind.
constexpr int kFeatures = 1, kFeature = 1, kKey = 1, kValue = 2, kListValue = 1;
constexpr int kBytesList = 1, kFloatList = 2, kInt64List = 3;

int list_of(DType dtype) {
  switch (dtype) {
    case DType::kU8:
      return kBytesList;
    case DType::kF32:
      return kFloatList;
    case DType::kI64:
      return kInt64List;
    default:
      return 0;
  }
}

std::string_view kind_of(int list) {
  constexpr std::string_view kKinds[] = {"nothing", "bytes", "floats", "integers"};
  return kKinds[list];
}

/// A feature as it lies in the record: its list's kind and message, not looked into.
struct Found {
  int list = 0;
  std::string_view message;
};

Found read_feature(wire::Reader reader) {
  Found found;
  while (reader.next()) {
    if (reader.field() >= kBytesList && reader.field() <= kInt64List)
      found = {reader.field(), reader.read_bytes()};
    else
      reader.skip();
  }
  return found;
}

/// Notes the wanted features of a map entry's message; of two with one name, the last stays.
void read_entry(wire::Reader entry, const std::vector<FixedLenFeature>& features,
                std::vector<Found>& found) {
  std::string_view key;
  Found value;
  while (entry.next()) {
    if (entry.field() == kKey)
      key = entry.read_bytes();
    else if (entry.field() == kValue)
      value = read_feature(entry.read_message());
    else
      entry.skip();
  }
  for (size_t i = 0; i < features.size(); ++i)
    if (features[i].name == key) found[i] = value;
}

std::vector<Found> find_features(std::string_view record,
                                 const std::vector<FixedLenFeature>& features) {
  std::vector<Found> found(features.size());
  wire::Reader example(record, kParseExample);
  while (example.next()) {
    if (example.field() != kFeatures) {
      example.skip();
      continue;
    }
    wire::Reader map = example.read_message();
    while (map.next()) {
      if (map.field() == kFeature)
        read_entry(map.read_message(), features, found);
      else
        map.skip();
    }
  }
  return found;
}

/// The values of a list, as bytes in memory's order.
struct Values {
  std::string bytes;
  int64_t count = 0;

  template <class T>
  void add(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    ++count;
  }
};

void add_floats(wire::Reader& reader, Values& values) {
  if (reader.type() != wire::WireType::kBytes) return values.add(reader.read_float());
  const std::string_view packed = reader.read_bytes();
  if (packed.size() % sizeof(float) != 0)
    reader.fail(fmt::format("{} bytes of packed floats", packed.size()), "a multiple of 4");
  for (size_t at = 0; at < packed.size(); at += sizeof(float)) {
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof bits; ++i)
      bits |= static_cast<uint32_t>(static_cast<unsigned char>(packed[at + i])) << (8 * i);
    values.add(bits);
  }
}

Values read_list(const Found& found, const FixedLenFeature& feature) {
  Values values;
  std::vector<uint64_t> integers;
  int64_t strings = 0;
  wire::Reader reader(found.message, kParseExample);
  while (reader.next()) {
    if (reader.field() != kListValue) {
      reader.skip();
    } else if (found.list == kFloatList) {
      add_floats(reader, values);
    } else if (found.list == kInt64List) {
      reader.read_uints(integers);
    } else {
      values.bytes = reader.read_bytes();
      values.count = std::ssize(values.bytes);
      ++strings;
    }
  }
  for (const uint64_t value : integers) values.add(value);
  if (found.list == kBytesList && strings != 1)
    throw InvalidArgument("{}: feature \"{}\": got {} strings of bytes; want one", kParseExample,
                          feature.name, strings);
  return values;
}

bool is_open(const FixedLenFeature& feature) { return !feature.shape.is_concrete(); }

Tensor parse_feature(const Found& found, const FixedLenFeature& feature) {
  if (found.list == 0 && feature.default_value) return *feature.default_value;
  if (found.list != list_of(feature.dtype))
    throw InvalidArgument("{}: feature \"{}\": got {}; want {}", kParseExample, feature.name,
                          kind_of(found.list), kind_of(list_of(feature.dtype)));
  const Values values = read_list(found, feature);
  const Shape shape = is_open(feature) ? Shape{values.count} : feature.shape;
  if (values.count != shape.num_elements())
    throw InvalidArgument("{}: feature \"{}\": got {} values; want {} for shape {}", kParseExample,
                          feature.name, values.count, shape.num_elements(), shape);
  Tensor tensor(feature.dtype, shape);
  if (!values.bytes.empty()) std::memcpy(tensor.raw(), values.bytes.data(), values.bytes.size());
  return tensor;
}

void check_feature(const FixedLenFeature& feature) {
  if (list_of(feature.dtype) == 0)
    throw InvalidArgument("{}: feature \"{}\": got dtype {}; want float32, int64 or uint8",
                          kParseExample, feature.name, feature.dtype);
  if (is_open(feature) && feature.shape.rank() != 1)
    throw InvalidArgument("{}: feature \"{}\": got shape {}; want numbers, or one symbol alone",
                          kParseExample, feature.name, feature.shape);
  const auto& value = feature.default_value;
  if (value && (!value->defined() || value->dtype() != feature.dtype ||
                (is_open(feature) ? value->rank() != 1 : value->shape() != feature.shape)))
    throw InvalidArgument("{}: feature \"{}\": got a default of {}{}; want {}{}", kParseExample,
                          feature.name, value->dtype(), value->shape(), feature.dtype,
                          feature.shape);
}

void check_features(const std::vector<FixedLenFeature>& features) {
  if (features.empty())
    throw InvalidArgument("{}: got no features; want at least one", kParseExample);
  std::set<std::string_view> names;
  for (const FixedLenFeature& feature : features) {
    check_feature(feature);
    if (!names.insert(feature.name).second)
      throw InvalidArgument("{}: got feature \"{}\" twice; want names that differ", kParseExample,
                            feature.name);
  }
}

wire::Writer write_list(const std::string& name, const Tensor& tensor) {
  const Tensor values = tensor.contiguous();
  wire::Writer list;
  if (values.dtype() == DType::kU8) {
    list.write_bytes(kListValue, {static_cast<const char*>(values.raw()), values.num_bytes()});
  } else if (values.dtype() == DType::kI64) {
    std::vector<uint64_t> numbers;
    for (const int64_t value : values.values<int64_t>())
      numbers.push_back(static_cast<uint64_t>(value));
    list.write_packed_uint(kListValue, numbers);
  } else if (values.dtype() == DType::kF32) {
    std::string packed;
    for (const float value : values.values<float>())
      for (int shift = 0; shift < 32; shift += 8)
        packed += static_cast<char>(std::bit_cast<uint32_t>(value) >> shift);
    list.write_bytes(kListValue, packed);
  } else {
    throw InvalidArgument("serialize_example: feature \"{}\": got {}; want float32, int64 or uint8",
                          name, values.dtype());
  }
  return list;
}

}  // namespace

MapFunction example_parser(std::vector<FixedLenFeature> features) {
  check_features(features);
  return [features = std::move(features)](const Element& record) {
    if (record.size() != 1 || record[0].dtype() != DType::kU8 || record[0].rank() != 1)
      throw InvalidArgument("{}: got an element that is no record; want one component, uint8 [L]",
                            kParseExample);
    const Tensor bytes = record[0].contiguous();
    const std::string_view text(static_cast<const char*>(bytes.raw()), bytes.num_bytes());
    const std::vector<Found> found = find_features(text, features);
    Element element;
    for (size_t i = 0; i < features.size(); ++i)
      element.push_back(parse_feature(found[i], features[i]));
    return element;
  };
}

std::string serialize_example(const std::map<std::string, Tensor>& features) {
  wire::Writer map;
  for (const auto& [name, tensor] : features) {
    wire::Writer feature, entry;
    feature.write_message(list_of(tensor.dtype()), write_list(name, tensor));
    entry.write_bytes(kKey, name);
    entry.write_message(kValue, feature);
    map.write_message(kFeature, entry);
  }
  wire::Writer example;
  example.write_message(kFeatures, map);
  return example.take();
}

Dataset Dataset::parse_example(std::vector<FixedLenFeature> features,
                               int num_parallel_calls) const {
  MapOptions options{.num_parallel_calls = num_parallel_calls, .element_spec = ElementSpec()};
  std::string name;
  for (const FixedLenFeature& feature : features) {
    options.element_spec->push_back({feature.dtype, feature.shape});
    name += fmt::format("{}{}: {}{}", name.empty() ? "" : ", ", feature.name, feature.dtype,
                        feature.shape);
  }
  return derived(map_node(input(), example_parser(std::move(features)), std::move(options),
                          fmt::format(".parse_example({})", name)));
}

}  // namespace cohort::data
