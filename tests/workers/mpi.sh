#!/usr/bin/env bash
# Workers of one mpirun whose tensors travel by MPI. Each has an IPC namespace of its own, so that it
# takes the others for other hosts.
#   mpi.sh WORKER_PROGRAM equal     they end with the weights that they have over TCP
#   mpi.sh WORKER_PROGRAM killed    a rank is killed: every other names it and ends
#   mpi.sh WORKER_PROGRAM refused   no mpirun: an error says so, on every worker
# Exits with 77 where there is no mpirun or no namespace (ctest counts that as skipped).
set -euo pipefail
program=$1 case=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ASAN_OPTIONS=detect_leaks=0 # MPI's own
unset TF_CONFIG COHORT_COORDINATOR COHORT_JOB_ID

skip() {
  echo "skipped: $1"
  exit 77
}
fail() {
  echo "FAILED: $1"
  tail -n 40 "$work"/*
  exit 1
}
mpirun --version 2>/dev/null | grep 'Open MPI' >/dev/null || skip "no mpirun of Open MPI"
unshare --ipc true 2>/dev/null || skip "no namespaces here"

job() { # job NAME ARGUMENT...: the program's; a log for each rank, which ends with its exit code
  local name=$1
  shift
  timeout -k 5 120 mpirun -np 3 --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 \
    "${options[@]}" unshare --ipc sh -c '
      log=$1; shift
      "$@" >"$log.$OMPI_COMM_WORLD_RANK" 2>&1
      code=$?; echo "exit: $code" >>"$log.$OMPI_COMM_WORLD_RANK"; exit $code
    ' - "$work/$name" "$program" "$@" >"$work/$name.mpirun" 2>&1
}
options=()
# What all three print alike.
value() {
  [[ $(grep -h "^$2: " "$work/$1".[012] | wc -l) == 3 ]] || fail "not three times $2" >&2
  [[ $(grep -h "^$2: " "$work/$1".[012] | sort -u | wc -l) == 1 ]] || fail "different $2" >&2
  grep -h -m 1 "^$2: " "$work/$1".0
}

case $case in
  equal)
    job mpi fit 1 0 mpi || fail "mpi ended with $?"
    job ring fit 1 0 ring || fail "ring ended with $?"
    for name in weights loss predicted; do
      mpi=$(value mpi $name)
      ring=$(value ring $name)
      [[ $mpi == "$ring" ]] || fail "other $name over MPI"
    done
    ;;
  killed)
    # With recovery, because mpirun else ends the others before they can speak. Its own exit code is
    # of no use then.
    options=(--enable-recovery)
    job mpi killed 1 0 mpi || true
    for rank in 0 1; do
      grep -q '^error: Unavailable .*/job:worker/task:2' "$work/mpi.$rank" || fail "rank $rank"
      grep -q '^exit: 3$' "$work/mpi.$rank" || fail "rank $rank has another exit code than 3"
    done
    ;;
  refused)
    export COHORT_JOB_ID=mpi-refused-$$
    for i in 0 1; do
      TF_CONFIG="{\"cluster\":{\"worker\":[\"127.0.0.1:0\",\"127.0.0.1:0\"]},\"task\":{\"type\":\"worker\",\"index\":$i}}" \
        timeout 60 "$program" fit 1 0 mpi >"$work/$i" 2>&1 &
    done
    wait
    for i in 0 1; do
      grep -q '^error: FailedPrecondition .*not started for MPI' "$work/$i" || fail "worker $i"
    done
    ;;
esac
echo "passed"
