#include "cohort/kernels/cuda/architectures.h"

#include <charconv>

namespace cohort::cuda {
namespace {

bool entry_runs_on(std::string_view entry, int major, int minor) {
  int version = 0;
  const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), version);
  if (error != std::errc{}) return true;
  std::string_view rest = entry.substr(static_cast<size_t>(end - entry.data()));
  // Features of one version alone ("90a"), or of its major version ("100f"): no other device's.
  const bool one = rest.starts_with('a'), family = rest.starts_with('f');
  if (one || family) rest.remove_prefix(1);
  const bool binary = rest != "-virtual", text = rest != "-real";
  if (one) return version == major * 10 + minor;
  if (binary && version / 10 == major && version % 10 <= minor) return true;
  return text && !family && version <= major * 10 + minor;
}

}  // namespace

bool runs_on(std::string_view architectures, int major, int minor) {
  while (!architectures.empty()) {
    const size_t comma = architectures.find(',');
    if (entry_runs_on(architectures.substr(0, comma), major, minor)) return true;
    if (comma == std::string_view::npos) return false;
    architectures.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace cohort::cuda
