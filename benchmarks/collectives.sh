#!/bin/bash
# All-reduce in shared memory beside Open MPI's, 2 and 4 ranks: one line per size, the ratios against the
# best of MPI's settings. Both run in the same processes, sample by sample in turn.
#   benchmarks/collectives.sh [bytes...]
# Gloo's, by PyTorch, is measured behind them where the peers are installed (COHORT_PEERS_VENV).
# Environment: COHORT_BENCH_SECONDS of each size and setting (0.3), COHORT_COLLECTIVES (our program),
# COHORT_BENCH_PREFIX (in front of mpirun, such as "chrt -f 10" to keep other work off the processors).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
program=${COHORT_COLLECTIVES:-$root/build/release/benchmarks/collectives}
seconds=${COHORT_BENCH_SECONDS:-0.3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpicc -O2 -shared -fPIC -o "$scratch/libmpi_peer.so" "$root/benchmarks/peers/mpi_peer.c"

run() {  # ranks, then MPI's settings
  local ranks=$1; shift
  ${COHORT_BENCH_PREFIX:-} mpirun --oversubscribe -np "$ranks" "$@" "$program" \
    "$scratch/libmpi_peer.so" "$seconds" "${sizes[@]}" >> "$scratch/results"
}

sizes=("$@")
touch "$scratch/results"
bound=(--bind-to core)
tuned=(--mca coll_tuned_use_dynamic_rules 1 --mca coll_tuned_allreduce_algorithm)
run 2 "${bound[@]}"
run 2 "${bound[@]}" --mca btl_vader_single_copy_mechanism none
run 2 "${bound[@]}" "${tuned[@]}" 3  # recursive doubling
run 2 "${bound[@]}" "${tuned[@]}" 6  # Rabenseifner
shared=(--bind-to none --mca mpi_yield_when_idle 1)
run 4 "${shared[@]}"
run 4 "${shared[@]}" --mca btl_vader_single_copy_mechanism none

touch "$scratch/gloo"
python=${COHORT_PEERS_VENV:-$root/.venv-peers}/venv-torch/bin/python
if [[ -x $python ]]; then
  for ranks in 2 4; do
    ${COHORT_BENCH_PREFIX:-} "$python" "$root/benchmarks/peers/gloo_all_reduce.py" "$ranks" "$seconds" \
      "${sizes[@]}" >> "$scratch/gloo"
  done
fi

echo "ranks bytes  MPI_us  bucket_us private_us  times faster: bucket private | gloo_us times faster: bucket"
sort -n -k1,1 -k2,2 "$scratch/results" | awk '
  { key = $1 " " $2 }
  FILENAME != "-" { gloo[key] = $3; next }
  !(key in mpi) { order[++n] = key; mpi[key] = $3; bucket[key] = $4; own[key] = $5; b[key] = $6; p[key] = $7 }
  $3 < mpi[key] { mpi[key] = $3 }
  $4 < bucket[key] { bucket[key] = $4 }
  $5 < own[key] { own[key] = $5 }
  $6 < b[key] { b[key] = $6 }
  $7 < p[key] { p[key] = $7 }
  END { for (i = 1; i <= n; ++i) { k = order[i]
          printf "%-18s %10.2f %10.2f %10.2f %6.2f %6.2f", k, mpi[k], bucket[k], own[k], b[k], p[k]
          if (k in gloo) printf " | %10.2f %6.1f", gloo[k], gloo[k] / bucket[k]
          print "" } }' "$scratch/gloo" -
