#!/bin/bash
# All-reduce over TCP between two network namespaces beside the raw two-way throughput of the same link:
# one line per size. As root.
#   benchmarks/collectives_tcp.sh [bytes...]
# Environment: COHORT_BENCH_SECONDS of each size (2), COHORT_BENCH_NICE (-20 keeps other work away; 0),
# COHORT_BENCH_CONGESTION (of both, see protocol.md; reno), COHORT_BENCH_PREFIX (in front of the program, such as
# "chrt -r 10" on a machine with other work), COHORT_BENCH_TLS (1: both go through TLS, with keys made here),
# COHORT_COLLECTIVES_TCP (our program).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${COHORT_COLLECTIVES_TCP:-$root/build/release/benchmarks/collectives_tcp}
. "$root/benchmarks/namespaces.sh"
scratch=$(mktemp -d)
trap 'drop_hosts; rm -rf "$scratch"' EXIT
if [ "${COHORT_BENCH_TLS:-0}" = 1 ]; then # one certificate for both
  (
    cd "$scratch"
    ec=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
    openssl req -x509 "${ec[@]}" -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
    openssl req "${ec[@]}" -subj /CN=task -keyout task.key -out task.csr
    openssl x509 -req -in task.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out task.pem
  ) 2> "$scratch/openssl" || { cat "$scratch/openssl" >&2; exit 1; }
fi
make_hosts 2
pids=()
for i in 0 1; do
  on_host "$i" ${COHORT_BENCH_PREFIX:-} "$program" "$i" "$scratch" "${COHORT_BENCH_SECONDS:-2}" 10.79.0.1,10.79.0.2 "$@" \
    > "$scratch/out-$i" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
echo "bytes      raw_us (quartiles)          ours_us (quartiles)         raw/ours (bar)  sent/least (bar 1.02)"
awk '{ bar = $1 <= 1048576 ? 0.85 : 0.9
       printf "%-9d %9.1f (%.1f-%.1f)  %9.1f (%.1f-%.1f)  %.2f (%.2f) %s  %.5f %s  # variant %d; link alone %.1f us, %.2f GB/s each way\n",
         $1, $2, $3, $4, $5, $6, $7, $8, bar, ($8 >= bar ? "met" : "MISSED"), $9, ($9 <= 1.02 ? "met" : "MISSED"),
         $10, $11, $1 / $11 / 1e3 }' "$scratch/out-0"
