#include "cohort/kernels/cpu/simd_dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "cohort/core/error.h"
#include "cohort/core/runtime/instruction_set.h"
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

/// What this process computes with, or will once it begins.
struct Choice {
  std::mutex mutex;
  Isa limit = Isa::kAvx512;
  bool is_made = false;

  Isa isa() const { return std::min(limit, isa_from_environment()); }
};

Choice& choice_of_process() {
  static Choice choice;
  return choice;
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
  static const Simd table = [] {
    Choice& choice = choice_of_process();
    const std::lock_guard lock(choice.mutex);
    Simd made = select_simd(choice.isa());
    choice.is_made = true;
    return made;
  }();
  return table;
}

}  // namespace cohort::cpu

namespace cohort {

std::string_view instruction_set() {
  cpu::Choice& choice = cpu::choice_of_process();
  const std::lock_guard lock(choice.mutex);
  return cpu::isa_name(choice.isa());
}

bool limit_instruction_set(std::string_view name) {
  cpu::Choice& choice = cpu::choice_of_process();
  const std::lock_guard lock(choice.mutex);
  for (const cpu::Isa isa : cpu::kBestFirst) {
    if (cpu::isa_name(isa) != name) continue;
    if (isa >= choice.isa()) return true;
    if (choice.is_made || !cpu::isa_supported(isa)) return false;
    choice.limit = isa;
    return true;
  }
  return false;
}

}  // namespace cohort
