#include "cohort/checkpoint/step_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cohort/core/error.h"

namespace cohort::checkpoint {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr size_t kDigits = 12;
constexpr std::string_view kSaving = ".saving";
constexpr std::string_view kRemoving = ".removing";

void remove_tree(Storage& storage, const std::string& directory) {
  for (const std::string& name : storage.list(directory))
    storage.remove_file(join_path(directory, name));
  storage.remove_directory(directory);
}

bool is_leftover(std::string_view name) {
  for (const std::string_view ending : {kSaving, kRemoving})
    if (name.ends_with(ending) && parse_step_name(name.substr(0, name.size() - ending.size())))
      return true;
  return false;
}

}  // namespace

std::string step_name(uint64_t step) { return fmt::format("{}{:0{}}", kPrefix, step, kDigits); }

std::string saving_path(const std::string& directory, uint64_t step) {
  return join_path(directory, step_name(step).append(kSaving));
}

std::optional<uint64_t> parse_step_name(std::string_view name) {
  if (!name.starts_with(kPrefix)) return {};
  const std::string_view digits = name.substr(kPrefix.size());
  uint64_t step = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), step);
  if (error != std::errc() || end != digits.end() || step_name(step) != name) return {};
  return step;
}

std::vector<uint64_t> steps_in(Storage& storage, const std::string& directory) {
  std::vector<uint64_t> steps;
  if (!storage.exists(directory)) return steps;
  for (const std::string& name : storage.list(directory))
    if (const auto step = parse_step_name(name)) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

void make_directories(Storage& storage, const std::string& path) {
  if (storage.exists(path)) return;
  const std::string parent = parent_path(path);
  make_directories(storage, parent);
  try {
    storage.make_directory(path);
  } catch (const Error& error) {
    if (error.code() != Code::kAlreadyExists) throw;  // another process was faster
  }
  storage.sync_directory(parent);
}

std::string begin_save(Storage& storage, const std::string& directory, uint64_t step) {
  const std::string path = join_path(directory, step_name(step));
  if (storage.exists(path))
    throw AlreadyExists("{}: got step {} to save; want one that is not there yet", path, step);
  for (const std::string& name : storage.list(directory))
    if (is_leftover(name)) remove_tree(storage, join_path(directory, name));
  const std::string saving = saving_path(directory, step);
  storage.make_directory(saving);
  return saving;
}

void abandon_save(Storage& storage, const std::string& saving) { remove_tree(storage, saving); }

std::optional<std::string> safetensors_index(const Manifest& manifest) {
  nlohmann::json files = nlohmann::json::object();
  for (const TensorRecord& tensor : manifest.tensors) {
    if (tensor.pieces.size() > 1) return {};
    if (!tensor.pieces.empty())
      files[tensor.name] = manifest.files[tensor.pieces.front().file].name;
  }
  const nlohmann::json index = {{"metadata", {{"total_size", manifest.num_bytes()}}},
                                {"weight_map", std::move(files)}};
  return index.dump(1) + "\n";
}

std::string commit_save(Storage& storage, const std::string& directory, const Manifest& manifest) {
  const std::string saving = saving_path(directory, manifest.step);
  const std::string path = join_path(directory, step_name(manifest.step));
  if (const auto index = safetensors_index(manifest))
    write_file(storage, join_path(saving, kIndexName), *index);
  write_file(storage, join_path(saving, kManifestName), serialize(manifest));
  storage.sync_directory(saving);
  if (storage.exists(path))
    throw AlreadyExists("{}: got step {} to save; want one that is not there yet", path,
                        manifest.step);
  storage.rename(saving, path);
  storage.sync_directory(directory);
  return path;
}

void remove_step(Storage& storage, const std::string& directory, uint64_t step) {
  const std::string removing = join_path(directory, step_name(step).append(kRemoving));
  storage.rename(join_path(directory, step_name(step)), removing);
  storage.sync_directory(directory);
  remove_tree(storage, removing);
}

}  // namespace cohort::checkpoint
