#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/safetensors.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/checkpoint/tool/commands.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint::tool {
namespace {

constexpr size_t kHeaderAlignment = 8;  // as the format's other writers have it

struct Output {
  std::vector<const TensorRecord*> tensors;
  uint64_t bytes = 0;
};

/// Tensors of larger elements first, so that each is aligned.
std::vector<Output> divide(std::vector<const TensorRecord*> tensors, uint64_t max_bytes) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const TensorRecord* a, const TensorRecord* b) {
                     return size_of(a->dtype) > size_of(b->dtype);
                   });
  std::vector<Output> files(1);
  for (const TensorRecord* tensor : tensors) {
    if (!files.back().tensors.empty() && files.back().bytes + tensor->num_bytes() > max_bytes)
      files.emplace_back();
    files.back().tensors.push_back(tensor);
    files.back().bytes += tensor->num_bytes();
  }
  return files;
}

void write(Storage& storage, const std::string& path, const SavedState& state, const Output& output,
           size_t prefix) {
  std::vector<SafetensorsEntry> entries;
  uint64_t at = 0;
  for (const TensorRecord* tensor : output.tensors) {
    entries.push_back({.name = tensor->name.substr(prefix),
                       .dtype = tensor->dtype,
                       .shape = tensor->shape,
                       .begin = at,
                       .end = at + tensor->num_bytes()});
    at += tensor->num_bytes();
  }
  const auto file = storage.create(path);
  file->append(serialize_safetensors_header(entries, {{"format", "pt"}}, kHeaderAlignment));
  for (const TensorRecord* tensor : output.tensors) {
    const Tensor value = state.read(*tensor);
    file->append({static_cast<const char*>(value.raw()), value.num_bytes()});
  }
  file->sync();
  file->close();
}

}  // namespace

Outcome convert(const std::shared_ptr<Storage>& storage, const std::string& from,
                const std::string& to, const ConvertOptions& options) {
  const std::unique_ptr<SavedState> state = open_newest(storage, from);
  std::vector<const TensorRecord*> chosen;
  for (const TensorRecord& tensor : state->manifest().tensors)
    if (tensor.name.starts_with(options.prefix) && tensor.name.size() > options.prefix.size())
      chosen.push_back(&tensor);
  if (chosen.empty())
    throw NotFound("convert: {}: got no tensor whose name begins with \"{}\"; want one or more",
                   state->directory(), options.prefix);
  make_directories(*storage, parent_path(to));
  storage->make_directory(to);
  const std::vector<Output> files = divide(std::move(chosen), options.max_shard_bytes);
  nlohmann::json map = nlohmann::json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string name =
        files.size() == 1 ? "model.safetensors"
                          : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, files.size());
    write(*storage, join_path(to, name), *state, files[i], options.prefix.size());
    for (const TensorRecord* tensor : files[i].tensors)
      map[tensor->name.substr(options.prefix.size())] = name;
    total += files[i].bytes;
  }
  if (files.size() > 1) {
    const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", map}};
    write_file(*storage, join_path(to, kIndexName), index.dump(1) + "\n");
  }
  storage->sync_directory(to);
  storage->sync_directory(parent_path(to));
  return {fmt::format("{}: {} tensors, {} bytes, {} file{}\n", to, map.size(), total, files.size(),
                      files.size() == 1 ? "" : "s")};
}

}  // namespace cohort::checkpoint::tool
