#!/bin/bash
# Four workers in network namespaces whose links are shaped to 100 Mbit/s and 1 Gbit/s: communication that a
# step cannot hide, over that of the ideal overlap (protocol.md). One line for each rate and length of the
# emulated computation. As root.
#   benchmarks/overlap.sh
# Environment: COHORT_BENCH_NICE (-20 keeps other work away; 0), COHORT_BENCH_PREFIX (in front of the program,
# such as "chrt -r 10" on a machine with other work), COHORT_BENCH_CONGESTION (reno), COHORT_OVERLAP (our program).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${COHORT_OVERLAP:-$root/build/release/benchmarks/overlap}
. "$root/benchmarks/namespaces.sh"
scratch=$(mktemp -d)
trap 'drop_hosts; rm -rf "$scratch"' EXIT

run() { # megabits per second, bytes that a rested link sends at once, bytes of gradients
  local i pids=()
  mkdir "$scratch/$1"
  make_hosts 4 "$1mbit" "$2"
  for i in 0 1 2 3; do
    on_host "$i" ${COHORT_BENCH_PREFIX:-} "$program" "$i" "$scratch/$1" "$1" "$2" "$3" \
      10.79.0.1,10.79.0.2,10.79.0.3,10.79.0.4 > "$scratch/out-$i" &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  awk -v rate="$1" '{ printf "%s Mbit/s (payload %s), compute %.1f ms: exposed %.1f ms (%.1f-%.1f), ideal %.1f ms: %.3f of it (bar 1.15 %s)\n",
           rate, $1, $2, $5, $4, $6, $3, $7, ($7 <= 1.15 ? "met" : "MISSED") }' "$scratch/out-0"
  drop_hosts
}

run 100 $((64 << 10)) $((4 << 20))
run 1000 $((256 << 10)) $((32 << 20))
