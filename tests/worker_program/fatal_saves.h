#pragma once

#include "cohort/cohort.h"

/// Trains LAST_STEP epochs and saves after each, from the newest checkpoint on. FATAL_OPERATION,
/// where it is "WORKER N", kills that worker instead of its N-th operation on files; ASYNCHRONOUS,
/// where it is set, has files written beside training; KEPT is how many checkpoints stay. Says how
/// many operations there were until the restore was over and after each save, and the weights.
void fatal_saves(const cohort::distribute::Strategy& strategy);
/// Two epochs of fit that BackupAndRestore saves after every second batch, with FATAL_OPERATION and
/// ASYNCHRONOUS as above. Says how many operations there were at each batch's end, and the weights.
void fatal_fits(const cohort::distribute::Strategy& strategy);
