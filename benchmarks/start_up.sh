#!/bin/bash
# From the start of cohort-launch to the end of the first training step on the last of its workers.
#   benchmarks/start_up.sh [workers]      4
# Environment: COHORT_BENCH_ROUNDS (21), COHORT_START_UP and COHORT_LAUNCH (our programs),
# COHORT_BENCH_PREFIX (in front of cohort-launch, such as "chrt -f 10" to keep other work off the processors).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${COHORT_START_UP:-$root/build/release/benchmarks/start_up}
launch=${COHORT_LAUNCH:-$root/build/release/launch/cohort-launch}
workers=${1:-4}
rounds=${COHORT_BENCH_ROUNDS:-21}
bar_ms=500

round() {
  ${COHORT_BENCH_PREFIX:-} "$program" begin "$launch" -n "$workers" "$program" | awk -v workers="$workers" '
    $1 == "begin" { begin = $2 }
    { sub(/^\[[^]]*\] /, "") }
    $1 == "start_up" { ++n; for (i = 1; i <= 4; ++i) if ($(i + 1) > last[i]) last[i] = $(i + 1) }
    END {
      if (n != workers) exit 1
      for (i = 1; i <= 4; ++i) printf "%.1f ", (last[i] - begin) / 1e6
      print ""
    }'
}

for ((i = 0; i <= rounds; ++i)); do
  result=$(round)
  ((i == 0)) || echo "$result"  # the first one fills the caches
done | sort -n -k4,4 | awk -v workers="$workers" -v bar="$bar_ms" '
  { for (i = 1; i <= 4; ++i) time[NR, i] = $i }
  END {
    m = int((NR + 1) / 2)
    split("main joined compiled stepped", name, " ")
    printf "start-up of %d local workers, ms: first step %.1f (%.1f-%.1f of %d), ", workers, time[m, 4], time[1, 4], time[NR, 4], NR
    printf "bar %d %s;", bar, time[m, 4] <= bar ? "met" : "MISSED"
    printf " last worker of the median run:"
    for (i = 1; i <= 3; ++i) printf " %s %.1f", name[i], time[m, i]
    print ""
  }'
