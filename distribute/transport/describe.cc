#include "cohort/distribute/transport/describe.h"

#include <fmt/format.h>

#include "cohort/core/dtype.h"

namespace cohort::distribute {

std::string describe_collective(const Description& d) {
  if (d.kind == CollectiveKind::kAllGather) return "all_gather";
  constexpr const char* kOps[] = {"sum", "mean", "max", "min"};
  std::string text =
      fmt::format("all_reduce ({}) of {} {}", kOps[d.op % 4], d.count, static_cast<DType>(d.dtype));
  if (d.sent_as != 0) text += fmt::format(" sent as {}", static_cast<DType>(d.sent_as));
  return text;
}

void check_same_collective(size_t index, const Description& a, int rank_a, const Description& b,
                           int rank_b) {
  const bool gather = a.kind == CollectiveKind::kAllGather;
  if (a.kind == b.kind && (gather || (a.dtype == b.dtype && a.op == b.op &&
                                      a.sent_as == b.sent_as && a.count == b.count)))
    return;
  throw InvalidArgument(
      "collective #{}: got {} on rank {} and {} on rank {}; want the same calls in the same order "
      "on "
      "every rank",
      index, describe_collective(a), rank_a, describe_collective(b), rank_b);
}

}  // namespace cohort::distribute
