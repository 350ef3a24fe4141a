#!/bin/bash
# Calls through a message port beside a raw connection, over loopback TCP: one line per size.
#   benchmarks/messages.sh [seconds]
# Environment: COHORT_BENCH_PREFIX (in front of the program, such as "chrt -r 10").
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exec ${COHORT_BENCH_PREFIX:-} "$root/build/release/benchmarks/messages" "$@"
