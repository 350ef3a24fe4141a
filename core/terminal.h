#pragma once

namespace cohort {

/// Whether a person watches standard output: it is a terminal, and this process is not one of many
/// whose launcher (cohort-launch, mpirun) gives each a pseudo-terminal of its own and mixes their
/// lines.
bool stdout_is_terminal();

}  // namespace cohort
