#!/usr/bin/env bash
# Starts a Slurm cluster of four nodes and lets every task of several steps print the job that it
# resolves: slurm_test.sh PRINT_JOB. (same_weights_test.sh trains there.)
# Ends with 77 and the reason where Slurm is not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
print_job=$(realpath "$1")

"$here/slurm_cluster.sh" check
folder=$(mktemp -d /tmp/cohort-slurm-XXXXXX)
finish() {
  "$here/slurm_cluster.sh" stop "$folder"
  rm -rf "$folder"
}
trap finish EXIT
"$here/slurm_cluster.sh" start "$folder"
export SLURM_CONF=$folder/slurm.conf
cd "$folder"

fail() {
  echo "FAILED: $1" >&2
  cat "$folder"/out.* >&2
  exit 1
}

# check_step NAME TASKS COORDINATOR srun-options…: every task has its rank and agrees with the others;
# the coordinator matches the pattern.
check_step() {
  local name=$1 tasks=$2 coordinator=$3
  shift 3
  timeout 60 srun --label "$@" "$print_job" >"$folder/out.$name" 2>&1 || fail "$name: srun"
  python3 - "$tasks" "$coordinator" "$folder/out.$name" <<'PYTHON' || fail "$name"
import json, re, sys
tasks, coordinator, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jobs = {}
for line in open(path):
    rank, text = line.split(":", 1)
    jobs[int(rank)] = json.loads(text)
assert sorted(jobs) == list(range(tasks)), sorted(jobs)
for rank, job in jobs.items():
    assert job["self"] == rank, (rank, job)
    assert len(job["tasks"]) == tasks and len(job["addresses"]) == tasks, job
    assert re.fullmatch(coordinator, job["coordinator"]), job
    assert "srun started this as task %d of %d" % (rank, tasks) in job["why"], job
    for member in ("job_id", "coordinator", "addresses"):
        assert job[member] == jobs[0][member], (rank, member, job)
PYTHON
  echo "ok: $name"
}

names='node1:2[0-9]{4}'
check_step four-nodes 4 "$names" --nodes=4 --ntasks=4
check_step two-tasks-on-each-node 8 "$names" --nodes=4 --ntasks-per-node=2
check_step cyclic 4 "$names" --nodes=2 --ntasks=4 --distribution=cyclic
check_step uneven 3 "$names" --nodes=2 --ntasks=3
check_step one-node 4 '' --nodes=1 --ntasks=4
COHORT_NODE_ADDRESSES=node1=127.0.0.1,node2=127.0.0.2,node3=127.0.0.3,node4=127.0.0.4 \
  check_step addresses 4 '127\.0\.0\.1:2[0-9]{4}' --nodes=4 --ntasks=4

# A batch script's own process is no task.
printf '#!/bin/sh\nexec "%s"\n' "$print_job" >"$folder/alone.sbatch"
timeout 120 sbatch --wait --nodes=2 --output="$folder/out.alone" "$folder/alone.sbatch" >/dev/null
grep -q "a Slurm job's own script" "$folder/out.alone" || fail "alone"
echo "ok: batch script"

# The script that users copy: names that do not resolve get their addresses from scontrol.
timeout 120 sbatch --wait --nodes=4 --output="$folder/out.sbatch" "$here/../../launch/slurm/train.sbatch" \
  "$print_job" >/dev/null || fail "sbatch"
(($(grep -c '"127.0.0.2:0","127.0.0.3:0","127.0.0.4:0"\],"coordinator":"127.0.0.1:2' \
  "$folder/out.sbatch") == 4)) || fail "sbatch: addresses"
echo "ok: train.sbatch"
