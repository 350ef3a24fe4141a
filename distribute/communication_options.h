#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cohort/core/chrono.h"
#include "cohort/core/dtype.h"

namespace cohort::distribute {

/// Who carries collectives.
enum class CommunicationImplementation {
  kAuto,  ///< chosen by device
  kRing,  ///< Cohort's own: shared memory within a host, TCP between hosts
  kNccl,  ///< NCCL, for GPUs
  kMpi,   ///< shared memory within a host, MPI between hosts
};

/// "auto", "ring", "nccl" or "mpi" in any case. Throws InvalidArgument that lists them.
CommunicationImplementation parse_communication_implementation(std::string_view name);

/// How gradients are exchanged, in tf.distribute's words.
struct CommunicationOptions {
  /// Gradients are reduced in packs of about so many bytes; 0: the strategy's default.
  int64_t bytes_per_pack = 0;
  /// After which a collective fails with DeadlineExceeded, which names who is silent: nothing of it
  /// has moved for so long, and nobody has come to it. A transfer may last longer. (NCCL does
  /// not show what moves: there it counts from the start.) More than 0; none: the strategy's
  /// default.
  std::optional<std::chrono::milliseconds> timeout = {};
  CommunicationImplementation implementation = CommunicationImplementation::kAuto;
  /// In which sums of float32 gradients travel between hosts. kBF16 or kF16: half the bytes,
  /// rounded as CollectiveSpec::wire_dtype says. Losses, metrics and statistics are not
  /// touched, nor is anything within a host.
  DType gradient_dtype = DType::kF32;

  /// Throws InvalidArgument for negative values and other dtypes.
  void check() const;
  /// These options, and those of `other` that are not at their default in their place.
  CommunicationOptions merge(const CommunicationOptions& other) const;
};

}  // namespace cohort::distribute
