#!/usr/bin/env bash
# Two tasks of a Slurm step, which srun starts for MPI, exchange tensors by MPI: slurm_mpi_test.sh
# MPI_PROGRAM. A step that was not started for MPI is refused.
# Ends with 77 and the reason where Slurm, or its plugin for PMIx, is not installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "$1")

"$here/slurm_cluster.sh" check
folder=$(mktemp -d /tmp/cohort-slurm-XXXXXX)
finish() {
  "$here/slurm_cluster.sh" stop "$folder"
  rm -rf "$folder"
}
trap finish EXIT
"$here/slurm_cluster.sh" start "$folder"
export SLURM_CONF=$folder/slurm.conf
srun --mpi=list 2>&1 | grep pmix >/dev/null || {
  echo "skipped: Slurm has no plugin for PMIx"
  exit 77
}

fail() {
  echo "FAILED: $1" >&2
  cat "$folder"/out.* >&2
  exit 1
}
step() { # step NAME MPI
  mkdir "$folder/$1"
  timeout 120 srun --nodes=2 --ntasks=2 --mpi="$2" "$program" compare "$folder/$1" >"$folder/out.$1" 2>&1
}

step pmix pmix || fail "pmix: srun"
(($(grep -c '^ok$' "$folder/out.pmix") == 2)) || fail "pmix: not both tasks"
step none none && fail "none: no error"
grep 'FailedPrecondition mpi: .*srun --mpi=pmix' "$folder/out.none" >/dev/null || fail "none"
echo "passed"
