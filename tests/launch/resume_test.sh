#!/usr/bin/env bash
# A program that is killed wherever it is, and started again with the same command, ends with the weights of
# one that was never disturbed: on four workers, then three, then one, and mirrored in one process.
#   resume_test.sh COHORT_LAUNCH PROGRAM arguments…
# The program prints "weights: …" and takes --strategy, --devices, --replicas and --checkpoint-dir.
set -euo pipefail
launch=$(realpath "$1")
program=$(realpath "$2")
shift 2
folder=$(mktemp -d /tmp/cohort-resume-XXXXXX)
trap 'rm -rf "$folder"' EXIT
unset TF_CONFIG COHORT_COORDINATOR COHORT_JOB_ID COHORT_RESUME_FROM
export PIDS=$folder/pids
RANDOM=${SEED:-1}

# Leaves its process' number where the killer finds it.
cat >"$folder/program" <<'EOF'
#!/usr/bin/env bash
echo >"$PIDS/$$"
exec "$@"
EOF
chmod +x "$folder/program"

fail() {
  echo "FAILED: $1" >&2
  tail -n 30 "$folder/output" >&2
  exit 1
}

workers() { # how many, and the arguments of each
  local count=$1
  shift
  "$launch" -n "$count" "$folder/program" "$program" --strategy multi_worker_mirrored --replicas 12 "$@"
}
mirrored() {
  "$folder/program" "$program" --strategy mirrored --replicas 3 "$@"
}

# Runs to the end; the weights are in $hash, equal on all workers.
run() {
  rm -rf "$PIDS" && mkdir "$PIDS"
  "$@" >"$folder/output" 2>&1 || fail "$*"
  hash=$(sed -n 's/.*weights: \([0-9a-f]*\).*/\1/p' "$folder/output" | sort -u)
  [[ $hash =~ ^[0-9a-f]+$ ]] || fail "$*: weights $hash"
}

newest() {
  local steps=("$checkpoints"/step-*[0-9])
  [[ -e ${steps[-1]} ]] && basename "${steps[-1]}" | sed 's/step-0*//' || echo 0
}

# Kills a process of it some time after some more checkpoints are there, or finds that it has ended.
disturb() {
  rm -rf "$PIDS" && mkdir "$PIDS"
  local until=$(($(newest) + 1 + RANDOM % 3)) delay=0.$((RANDOM % 3))$((RANDOM % 10)) status=0
  "$@" >"$folder/output" 2>&1 &
  local job=$! waits=0
  while kill -0 $job 2>/dev/null && (($(newest) < until)); do
    ((++waits < 2400)) || { kill -KILL $job; fail "$*: no checkpoint $until within two minutes"; }
    sleep 0.05
  done
  sleep "$delay"
  local pids=("$PIDS"/*) pid
  pid=$(basename "${pids[RANDOM % ${#pids[@]}]}")
  # It may have ended by itself meanwhile.
  if [[ $(readlink "/proc/$pid/exe") == "$program" ]] && kill -KILL "$pid" 2>/dev/null; then
    ((++killed))
  fi
  wait $job || status=$?
  echo "ok: checkpoint $(newest), status $status, of $1 ${2:-}"
}

undisturbed=$folder/undisturbed
checkpoints=$folder/checkpoints
run workers 4 --checkpoint-dir "$undisturbed" "$@"
want=$hash
killed=0
for count in 4 4 3 3; do disturb workers $count --checkpoint-dir "$checkpoints" "$@"; done
((killed)) || fail "four and three workers: none was killed"
run workers 1 --checkpoint-dir "$checkpoints" "$@"
[[ $hash == "$want" ]] || fail "four, three and one workers: weights $hash; want $want"

checkpoints=$folder/mirrored
run mirrored --checkpoint-dir "$undisturbed-mirrored" "$@"
want=$hash
killed=0
for _ in 1 2 3; do disturb mirrored --checkpoint-dir "$checkpoints" "$@"; done
((killed)) || fail "mirrored: it was not killed"
run mirrored --checkpoint-dir "$checkpoints" "$@"
[[ $hash == "$want" ]] || fail "mirrored: weights $hash; want $want"
echo "ok: weights $want"
