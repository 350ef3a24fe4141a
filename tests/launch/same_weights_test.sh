#!/usr/bin/env bash
# One program, four replicas, each way of starting its workers, and any number of them: the weights have
# the same bits, and the output holds no escape sequences.
#   same_weights_test.sh COHORT_LAUNCH PROGRAM arguments…
# The program prints "weights: …" on every worker and "test accuracy: …" on the chief, and takes
# --strategy, --devices and --replicas. Ways whose launcher is not installed are named and left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
launch=$(realpath "$1")
program=$(realpath "$2")
shift 2
command=("$program" "$@")
folder=$(mktemp -d /tmp/cohort-same-XXXXXX)
trap 'rm -rf "$folder"' EXIT
unset TF_CONFIG COHORT_COORDINATOR COHORT_JOB_ID

fail() {
  echo "FAILED: $1" >&2
  tail -n 20 "$folder/$1" >&2
  exit 1
}

# The hash that all workers of a way printed, in $hash: four, or as many as are said.
check() {
  local way=$1 workers=${2:-4}
  mapfile -t hashes < <(sed -n 's/.*weights: \([0-9a-f]*\).*/\1/p' "$folder/$way")
  ((${#hashes[@]} == workers)) || fail "$way"
  (($(printf '%s\n' "${hashes[@]}" | sort -u | wc -l) == 1)) || fail "$way"
  (($(grep -c 'test accuracy: ' "$folder/$way") == 1)) || fail "$way"
  ! grep -q $'[\x1b\r]' "$folder/$way" || fail "$way"
  hash=${hashes[0]}
  [[ $hash == "${first:=$hash}" ]] || {
    echo "FAILED: $way has weights $hash, the others $first" >&2
    exit 1
  }
  echo "ok: $way $hash"
}

"$launch" -n 4 "${command[@]}" >"$folder/cohort-launch" 2>&1 || fail cohort-launch
check cohort-launch

for workers in 1 2 3; do
  "$launch" -n "$workers" "${command[@]}" --replicas 4 >"$folder/$workers-workers" 2>&1 ||
    fail "$workers-workers"
  check "$workers-workers" "$workers"
done
for devices in 1 2; do
  "${command[@]}" --strategy mirrored --devices "$devices" --replicas 4 >"$folder/mirrored-$devices" 2>&1 ||
    fail "mirrored-$devices"
  check "mirrored-$devices" 1
done

# Fewer replicas than workers: refused, with a word on how many are wanted.
if "$launch" -n 2 "${command[@]}" --replicas 1 >"$folder/too-few" 2>&1; then fail too-few; fi
grep -q 'got 1 replicas for 2 devices; want at least one for each' "$folder/too-few" || fail too-few

by_hand() {
  local port=$((30000 + $$ % 500 * 4)) addresses="" pids=() status=0
  for i in 0 1 2 3; do addresses+="${addresses:+, }\"127.0.0.1:$((port + i))\""; done
  for i in 0 1 2 3; do
    TF_CONFIG="{\"cluster\": {\"worker\": [$addresses]}, \"task\": {\"type\": \"worker\", \"index\": $i}}" \
      "${command[@]}" >"$folder/by-hand.$i" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
  cat "$folder"/by-hand.? >"$folder/by-hand"
  return $status
}
by_hand || fail by-hand
check by-hand

if command -v mpirun >/dev/null; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  "$here/../../launch/mpirun.sh" -np 4 "${command[@]}" >"$folder/mpirun" 2>&1 || fail mpirun
  check mpirun
else
  echo "left out: mpirun is not installed"
fi

if reason=$("$here/slurm_cluster.sh" check); then
  slurm=$(mktemp -d /tmp/cohort-slurm-XXXXXX)
  trap '"$here/slurm_cluster.sh" stop "$slurm"; rm -rf "$slurm" "$folder"' EXIT
  "$here/slurm_cluster.sh" start "$slurm"
  SLURM_CONF=$slurm/slurm.conf timeout 240 sbatch --wait --nodes=4 --output="$folder/slurm" \
    "$here/../../launch/slurm/train.sbatch" "${command[@]}" >/dev/null || fail slurm
  check slurm
  if ! getent hosts node1 >/dev/null; then # the error of a node that does not resolve says what to do
    ! SLURM_CONF=$slurm/slurm.conf timeout 60 srun --nodes=2 --ntasks=2 "${command[@]}" >"$folder/names" 2>&1 ||
      fail names
    grep -q 'node1: the name does not resolve.*COHORT_NODE_ADDRESSES=' "$folder/names" || fail names
    echo "ok: names"
  fi
else
  echo "left out: $reason"
fi
