#include "cohort/checkpoint/exported_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cohort/checkpoint/replaced_directory.h"
#include "cohort/checkpoint/saved_state.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/chrono.h"
#include "cohort/core/error.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/wire/hash.h"

namespace cohort::checkpoint {
namespace {

constexpr const char* kWeightsName = "model.safetensors";
/// A fact of the manifest: the hash of the file "functions" that belongs to it.
constexpr std::string_view kFunctionsFact = "functions";
constexpr uint64_t kMaxFunctionsBytes = uint64_t{1} << 30;

std::string hash_of(std::string_view bytes) { return wire::hash128(bytes).to_string(); }

Manifest manifest_of(const std::vector<PieceSource>& weights, const WrittenFile& written,
                     std::string_view functions) {
  Manifest manifest;
  manifest.created_ms =
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                std::chrono::system_clock::now().time_since_epoch())
                                .count());
  manifest.facts.emplace_back(kFunctionsFact, hash_of(functions));
  manifest.files.push_back(written.record);
  for (size_t i = 0; i < weights.size(); ++i) {
    const PieceSource& weight = weights[i];
    TensorRecord tensor{.name = weight.name, .dtype = weight.dtype, .shape = weight.shape};
    if (weight.end > 0) tensor.pieces.push_back({0, weight.end, 0, written.offsets[i]});
    manifest.tensors.push_back(std::move(tensor));
  }
  return manifest;
}

/// The weights that a directory has, as variables that take their values on first use.
class Weights {
 public:
  Weights(std::shared_ptr<Storage> storage, const std::string& directory)
      : state_(std::make_shared<SavedState>(std::move(storage), directory)) {}

  const SavedState& state() const { return *state_; }

  std::shared_ptr<VariableState> operator()(DType dtype, const Shape& shape,
                                            const std::string& name) {
    const TensorRecord* tensor = state_->manifest().find(name);
    if (!tensor)
      throw DataLoss("variable {}: got no tensor of that name in {}; want one", name,
                     join_path(state_->directory(), kManifestName));
    if (tensor->dtype != dtype || Shape(std::span(tensor->shape)) != shape)
      throw DataLoss("variable {}: got a tensor of {} {} for {} {}; want the same", name,
                     tensor->dtype, Shape(std::span(tensor->shape)), dtype, shape);
    std::shared_ptr<VariableState>& made = made_[name];
    if (!made)
      made = std::make_shared<VariableState>(
          dtype, shape, [state = state_, tensor] { return state->read(*tensor); },
          VariableOptions{.name = name, .trainable = false});
    return made;
  }

 private:
  std::shared_ptr<const SavedState> state_;
  std::map<std::string, std::shared_ptr<VariableState>> made_;
};

void check_belongs(const Manifest& manifest, std::string_view functions,
                   const std::string& directory) {
  const auto fact = std::find_if(manifest.facts.begin(), manifest.facts.end(),
                                 [](const auto& each) { return each.first == kFunctionsFact; });
  if (fact == manifest.facts.end() || fact->second != hash_of(functions))
    throw DataLoss(
        "{}: got file \"{}\" with hash {}; want {}, as file \"{}\" says: they do not "
        "belong together",
        directory, kFunctionsName, hash_of(functions),
        fact == manifest.facts.end() ? "one" : fact->second, kManifestName);
}

}  // namespace

void write_functions(const std::string& directory, std::vector<StoredFunction> functions,
                     const std::vector<PieceSource>& weights, bool overwrite) {
  const std::string bytes = serialize_functions(std::move(functions));
  ReplacedDirectory made(directory,
                         {std::string(kFunctionsName), std::string(kManifestName),
                          std::string(kIndexName), kWeightsName},
                         overwrite);
  Storage& storage = made.storage();
  const WrittenFile written = write_data_file(storage, made.path(), kWeightsName, weights);
  const Manifest manifest = manifest_of(weights, written, bytes);
  if (const auto index = safetensors_index(manifest))
    write_file(storage, join_path(made.path(), kIndexName), *index);
  write_file(storage, join_path(made.path(), kFunctionsName), bytes);
  write_file(storage, join_path(made.path(), kManifestName), serialize(manifest));
  made.close();
}

std::vector<StoredFunction> read_functions(const std::string& directory, const OpRegistry& ops) {
  const std::shared_ptr<Storage> storage = posix_storage();
  const std::string path = join_path(directory, kFunctionsName);
  const std::string bytes = read_file(*storage, path, kMaxFunctionsBytes);
  Weights weights(storage, directory);
  check_belongs(weights.state().manifest(), bytes, directory);
  weights.state().verify();
  weights.state().verify_headers();
  return parse_functions(bytes, path, ops,
                         [&](DType dtype, const Shape& shape, const VariableOptions& options) {
                           return weights(dtype, shape, options.name);
                         });
}

}  // namespace cohort::checkpoint
