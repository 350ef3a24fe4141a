#include "cohort/nn/saving/weights_match.h"

#include <fmt/format.h>

#include "cohort/core/wire/hash.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn::internal {
namespace {

/// Whether a layer of this class is called so where nobody gave it a name: "dense", "dense_12".
bool is_automatic(std::string_view name, const LayerImpl& layer) {
  const std::string base = to_snake_case(layer.type_name());
  if (!name.starts_with(base)) return false;
  const std::string_view rest = name.substr(base.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '_' &&
                          rest.find_first_not_of("0123456789", 1) == rest.npos);
}

}  // namespace

void WeightsMatch::compare_names(const std::string& path, const std::string& of_file,
                                 const Layer& layer) {
  if (of_file == layer.name() ||
      (is_automatic(of_file, layer.impl()) && is_automatic(layer.name(), layer.impl())))
    return;
  add_problem(fmt::format("{}: the file's layer is called \"{}\", the model's \"{}\"", path,
                          of_file, layer.name()));
}

void WeightsMatch::pair(const Variable& weight, const WeightInFile& in_file) {
  if (in_file.shape != weight.shape() || in_file.dtype != weight.dtype())
    add_problem(fmt::format("{}: the file has {} of {} for {}, which is {} of {}", in_file.path,
                            in_file.dtype, in_file.shape, weight.path(), weight.dtype(),
                            weight.shape()));
  else
    pairs_.emplace_back(weight, in_file);
}

std::string WeightsMatch::assign(const std::function<Tensor(const WeightInFile&)>& read) const {
  std::string all;
  for (const auto& [variable, in_file] : pairs_) {
    const Tensor value = read(in_file);
    all += wire::hash128({static_cast<const char*>(value.raw()), value.num_bytes()}).to_string();
    variable.assign(value);
  }
  return wire::hash128(all).to_string();
}

}  // namespace cohort::nn::internal
