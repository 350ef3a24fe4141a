#include "cohort/nn/named_tensors.h"

#include <string_view>

#include "cohort/core/error.h"
#include "cohort/core/wire/protobuf.h"

namespace cohort::nn {
namespace {

template <class T>
Tensor vector_of(const std::vector<T>& values) {
  return Tensor::from(values, Shape{static_cast<int64_t>(values.size())});
}

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  const Tensor rows = tensor.contiguous();
  const std::span<const T> values = rows.values<T>();
  return {values.begin(), values.end()};
}

}  // namespace

void NamedTensors::set(const std::string& name, const std::vector<int64_t>& values) {
  set(name, vector_of(values));
}
void NamedTensors::set(const std::string& name, const std::vector<double>& values) {
  set(name, vector_of(values));
}

/// One message with a repeated field 1.
void NamedTensors::set(const std::string& name, const std::vector<std::string>& texts) {
  wire::Writer out;
  for (const std::string& text : texts) out.write_bytes(1, text);
  set(name, vector_of(std::vector<uint8_t>(out.data().begin(), out.data().end())));
}

void NamedTensors::set_all(const std::string& prefix, const NamedTensors& values) {
  for (const auto& [name, value] : values) set(prefix + name, value);
}

const Tensor& NamedTensors::tensor(const std::string& name) const {
  const auto found = find(name);
  if (found == end()) throw DataLoss("state: got no \"{}\"; want one", name);
  return found->second;
}

const Tensor& NamedTensors::tensor(const std::string& name, DType dtype, int rank) const {
  const Tensor& value = tensor(name);
  if (value.dtype() != dtype || value.rank() != rank)
    throw DataLoss("state: {}: got {} {}; want {} of rank {}", name, value.dtype(), value.shape(),
                   dtype, rank);
  return value;
}

int64_t NamedTensors::integer(const std::string& name) const {
  return tensor(name, DType::kI64, 0).item<int64_t>();
}
double NamedTensors::number(const std::string& name) const {
  return tensor(name, DType::kF64, 0).item<double>();
}
std::vector<int64_t> NamedTensors::integers(const std::string& name) const {
  return values_of<int64_t>(tensor(name, DType::kI64, 1));
}
std::vector<double> NamedTensors::numbers(const std::string& name) const {
  return values_of<double>(tensor(name, DType::kF64, 1));
}

std::vector<std::string> NamedTensors::texts(const std::string& name) const {
  const std::vector<uint8_t> bytes = values_of<uint8_t>(tensor(name, DType::kU8, 1));
  const std::string where = "state: " + name;
  std::vector<std::string> texts;
  wire::Reader in({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, where);
  while (in.next()) texts.emplace_back(in.read_bytes());
  return texts;
}

NamedTensors NamedTensors::all(const std::string& prefix) const {
  NamedTensors found;
  for (auto it = lower_bound(prefix); it != end() && it->first.starts_with(prefix); ++it)
    found.set(it->first.substr(prefix.size()), it->second);
  return found;
}

}  // namespace cohort::nn
