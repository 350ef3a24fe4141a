#include "cohort/kernels/cpu/simd_dispatch.h"

#include <cstdlib>

#include "cohort/core/error.h"
#include "cohort/kernels/cpu/simd_levels.h"

namespace cohort::cpu {
namespace {

constexpr Isa kBestFirst[] = {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline};

Isa isa_from_environment() {
  const char* name = std::getenv("COHORT_SIMD");
  if (!name || !*name) return best_isa();
  for (Isa isa : kBestFirst)
    if (isa_name(isa) == name) return isa;
  throw InvalidArgument("COHORT_SIMD: got \"{}\"; want baseline, avx2 or avx512", name);
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kBaseline:
      return "baseline";
  }
  return "unknown";
}

Isa best_isa() {
  for (Isa isa : kBestFirst)
    if (isa_supported(isa)) return isa;
  return Isa::kBaseline;
}

Simd select_simd(Isa isa) {
  if (!isa_supported(isa))
    throw InvalidArgument(
        "select_simd: got {}, which this processor or this build lacks; the best is {}",
        isa_name(isa), isa_name(best_isa()));
  Simd table;
  table.isa = isa;
  fill_simd(isa, table);
  return table;
}

const Simd& simd() {
  static const Simd table = select_simd(isa_from_environment());
  return table;
}

}  // namespace cohort::cpu
