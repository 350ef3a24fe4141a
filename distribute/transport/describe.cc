#include "cohort/distribute/transport/describe.h"

#include <fmt/format.h>

#include "cohort/core/dtype.h"

namespace cohort::distribute {
namespace {

bool gathers(const Description& d) { return d.kind == CollectiveKind::kAllGather; }

}  // namespace

Description::Description(const CollectiveSpec& spec)
    : kind(spec.kind),
      dtype(static_cast<uint32_t>(spec.dtype)),
      op(spec.kind == CollectiveKind::kBroadcast ? static_cast<uint32_t>(spec.root)
                                                 : static_cast<uint32_t>(spec.op)),
      sent_as(spec.wire_dtype ? static_cast<uint32_t>(*spec.wire_dtype) : 0),
      count(spec.count) {}

std::string describe_collective(const Description& d) {
  const std::string_view name = collective_name(d.kind);
  if (gathers(d)) return std::string(name);
  const auto dtype = static_cast<DType>(d.dtype);
  if (d.kind == CollectiveKind::kBroadcast)
    return fmt::format("{} from rank {} of {} {}", name, d.op, d.count, dtype);
  constexpr const char* kOps[] = {"sum", "mean", "max", "min"};
  std::string text = fmt::format("{} ({}) of {} {}", name, kOps[d.op % 4], d.count, dtype);
  if (d.sent_as != 0) text += fmt::format(" sent as {}", static_cast<DType>(d.sent_as));
  return text;
}

void check_same_collective(size_t index, const Description& a, int rank_a, const Description& b,
                           int rank_b) {
  if (a.kind == b.kind && (gathers(a) || (a.dtype == b.dtype && a.op == b.op &&
                                          a.sent_as == b.sent_as && a.count == b.count)))
    return;
  throw InvalidArgument(
      "collective #{}: got {} on rank {} and {} on rank {}; want the same calls in the same order "
      "on "
      "every rank",
      index, describe_collective(a), rank_a, describe_collective(b), rank_b);
}

}  // namespace cohort::distribute
