#include "cohort/distribute/communication_options.h"

#include <algorithm>
#include <cctype>

#include "cohort/core/error.h"

namespace cohort::distribute {

CommunicationImplementation parse_communication_implementation(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "auto") return CommunicationImplementation::kAuto;
  if (lower == "ring") return CommunicationImplementation::kRing;
  if (lower == "nccl") return CommunicationImplementation::kNccl;
  if (lower == "mpi") return CommunicationImplementation::kMpi;
  throw InvalidArgument("implementation: got \"{}\"; want auto, ring, nccl or mpi", name);
}

void CommunicationOptions::check() const {
  if (bytes_per_pack < 0)
    throw InvalidArgument("bytes_per_pack: got {}; want 0 or more", bytes_per_pack);
  if (timeout && timeout->count() < 0)
    throw InvalidArgument("timeout: got {} ms; want 0 or more", timeout->count());
  if (gradient_dtype != DType::kF32 && gradient_dtype != DType::kBF16 &&
      gradient_dtype != DType::kF16)
    throw InvalidArgument("gradient_dtype: got {}; want float32, bfloat16 or float16",
                          gradient_dtype);
}

CommunicationOptions CommunicationOptions::merge(const CommunicationOptions& other) const {
  CommunicationOptions merged = *this;
  if (other.bytes_per_pack != 0) merged.bytes_per_pack = other.bytes_per_pack;
  if (other.timeout && other.timeout->count() != 0) merged.timeout = other.timeout;
  if (other.implementation != CommunicationImplementation::kAuto)
    merged.implementation = other.implementation;
  if (other.gradient_dtype != DType::kF32) merged.gradient_dtype = other.gradient_dtype;
  return merged;
}

}  // namespace cohort::distribute
