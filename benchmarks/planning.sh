#!/bin/bash
# What one rank of a large job computes before its first step, and what its leader does: planning.cc.
#   benchmarks/planning.sh [ranks [ranks of each host]]      4096 8
# Environment: COHORT_BENCH_ROUNDS (7), COHORT_PLANNING (our program), COHORT_BENCH_PREFIX (in front of it).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec ${COHORT_BENCH_PREFIX:-} "${COHORT_PLANNING:-$root/build/release/benchmarks/planning}" \
  "${1:-4096}" "${2:-8}" "${COHORT_BENCH_ROUNDS:-7}"
