#!/usr/bin/env bash
# Three workers of this host under a limit of the system: all succeed, or all fail and one says which limit it was.
# As under any launcher, the first that fails ends the others, a moment later.
#   limits.sh WORKER_PROGRAM descriptors      all workers may open N descriptors, for many N
#   limits.sh WORKER_PROGRAM one_descriptors  one of them, in turn
#   limits.sh WORKER_PROGRAM addresses        all have N megabytes of addresses
#   limits.sh WORKER_PROGRAM one_addresses    one of them
#   limits.sh WORKER_PROGRAM file_size        no file may have more than N bytes
#   limits.sh WORKER_PROGRAM closed           the standard descriptors are closed
#   limits.sh WORKER_PROGRAM full             the folder for the leader's address is full
#   limits.sh WORKER_PROGRAM no_proc          /proc is not there
# Exits with 77 where a case cannot be made (ctest counts that as skipped).
set -euo pipefail
program=$1 case=$2
work=$(mktemp -d)
pids=() writers=()

leave() {
  kill -9 "${pids[@]}" 2>/dev/null || true
  umount "$work/full" 2>/dev/null || true
  rm -rf "$work"
}
trap leave EXIT
skip() {
  echo "skipped: $1"
  exit 77
}
fail() {
  echo "FAILED: $1"
  tail -n 20 "$work"/*.log
  exit 1
}

start() { # start WORKER COMMAND...: with the environment that mpirun gives
  local worker=$1 log=$work/$1.log
  shift
  rm -f "$log.pipe"
  mkfifo "$log.pipe"
  cat <"$log.pipe" >"$log" & # a limit of files is not for the log
  writers+=($!)
  OMPI_COMM_WORLD_RANK=$worker OMPI_COMM_WORLD_SIZE=3 OMPI_COMM_WORLD_LOCAL_RANK=$worker \
    OMPI_COMM_WORLD_LOCAL_SIZE=3 PMIX_NAMESPACE=limits-$$-$round "$@" >"$log.pipe" 2>&1 &
  pids+=($!)
}
round=0

# under LIMIT WORKERS REASON: the three workers, WORKERS of which run after the shell command LIMIT
under() {
  local limit=$1 limited=$2 reason=$3 codes=() begin=$SECONDS
  ((++round))
  pids=() writers=()
  for worker in 0 1 2; do
    local before=:
    [[ $limited != *$worker* ]] || before=$limit
    start $worker bash -c "$before; exec timeout -k 1 90 $program fit 1"
  done
  local first=${limited:0:1} code
  timeout 90 tail --pid="${pids[$first]}" -f /dev/null || true
  if ! wait "${pids[$first]}"; then
    # The others hear of it, and end by themselves or are ended; one may be gone by then.
    for pid in "${pids[@]}"; do timeout 5 tail --pid="$pid" -f /dev/null || kill "$pid" || true; done
  fi
  for worker in 0 1 2; do
    code=0
    wait "${pids[$worker]}" || code=$?
    codes+=("$code")
  done
  wait "${writers[@]}"
  echo "$limit for $limited: ${codes[*]} ($((SECONDS - begin)) s)"
  [[ " ${codes[*]} " != *" 124 "* ]] || fail "$limit for $limited: a worker has not ended"
  [[ ${codes[*]} != "0 0 0" ]] || return 0
  [[ " ${codes[*]} " != *" 0 "* ]] || fail "$limit for $limited: some succeeded"
  grep -Eqh "$reason" "$work"/*.log || fail "$limit for $limited: nobody names the limit"
}

memory="RLIMIT_AS is|failed to map" # the latter says the loader of libraries
case $case in
  descriptors) for n in 6 8 12 16 20 28 40 64; do under "ulimit -n $n" 012 RLIMIT_NOFILE; done ;;
  one_descriptors)
    for worker in 0 2; do for n in 12 18 24 32; do under "ulimit -n $n" $worker RLIMIT_NOFILE; done; done
    ;;
  addresses) for mb in 100 150 200 250 300 400 700 1000 2000 4000; do under "ulimit -v $((mb << 10))" 012 "$memory"; done ;;
  one_addresses) for mb in 200 250 700; do under "ulimit -v $((mb << 10))" 1 "$memory"; done ;;
  file_size) for kb in 0 1000 20000 1000000; do under "ulimit -f $kb" 012 RLIMIT_FSIZE; done ;;
  closed) under "exec 0<&- 1>&- 2>&-" 012 "nothing: they succeed" ;;
  full)
    mkdir -m 700 "$work/full"
    mount -t tmpfs -o size=16k,mode=700 none "$work/full" 2>/dev/null || skip "no mounts here"
    head -c 64k /dev/zero >"$work/full/x" 2>/dev/null || true
    export XDG_RUNTIME_DIR=$work/full
    start 0 timeout -k 1 60 "$program" fit 1
    ! wait "${pids[0]}" || fail "the leader succeeded"
    wait "${writers[@]}"
    grep -q "No space left on device" "$work/0.log" || fail "the leader does not say why"
    [[ $(ls "$work/full") == x ]] || fail "something is left over"
    ;;
  no_proc)
    unshare -m true 2>/dev/null || skip "no mount namespaces here"
    for worker in 0 1; do
      start $worker unshare -m bash -c "umount -l /proc; exec timeout -k 1 60 $program fit 1"
    done
    for worker in 0 1; do
      ! wait "${pids[$worker]}" || fail "worker $worker succeeded"
      wait "${writers[$worker]}"
      grep -q "want it mounted" "$work/$worker.log" || fail "worker $worker does not say why"
    done
    ;;
esac
echo "passed"
