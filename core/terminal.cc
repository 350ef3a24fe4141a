#include "cohort/core/terminal.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace cohort {

bool stdout_is_terminal() {
  constexpr std::array kOfLaunchers = {"COHORT_RESTART_COUNT", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
                                       "PMIX_RANK"};
  const bool launched = std::any_of(kOfLaunchers.begin(), kOfLaunchers.end(),
                                    [](const char* name) { return std::getenv(name) != nullptr; });
  return !launched && ::isatty(STDOUT_FILENO) == 1;
}

}  // namespace cohort
