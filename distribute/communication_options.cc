#include "distribute/communication_options.h"

#include <algorithm>
#include <cctype>

#include "core/error.h"

namespace cohort::distribute {

CommunicationImplementation parse_communication_implementation(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "auto") return CommunicationImplementation::kAuto;
  if (lower == "ring") return CommunicationImplementation::kRing;
  if (lower == "nccl") return CommunicationImplementation::kNccl;
  throw InvalidArgument("implementation: got \"{}\"; want auto, ring or nccl", name);
}

void CommunicationOptions::check() const {
  if (bytes_per_pack < 0)
    throw InvalidArgument("bytes_per_pack: got {}; want 0 or more", bytes_per_pack);
  if (timeout && timeout->count() <= 0)
    throw InvalidArgument("timeout: got {} ms; want more than 0", timeout->count());
}

CommunicationOptions CommunicationOptions::merge(const CommunicationOptions& other) const {
  CommunicationOptions merged = *this;
  if (other.bytes_per_pack != 0) merged.bytes_per_pack = other.bytes_per_pack;
  if (other.timeout) merged.timeout = other.timeout;
  if (other.implementation != CommunicationImplementation::kAuto)
    merged.implementation = other.implementation;
  return merged;
}

std::vector<std::vector<size_t>> cut_into_packs(const std::vector<int64_t>& bytes,
                                                int64_t bytes_per_pack) {
  CommunicationOptions{.bytes_per_pack = bytes_per_pack}.check();
  std::vector<std::vector<size_t>> packs;
  int64_t held = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const bool full = bytes_per_pack > 0 && held >= bytes_per_pack;
    if (packs.empty() || full) {
      packs.emplace_back();
      held = 0;
    }
    packs.back().push_back(i);
    held += bytes[i];
  }
  return packs;
}

}  // namespace cohort::distribute
