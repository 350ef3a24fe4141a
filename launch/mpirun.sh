#!/usr/bin/env bash
# mpirun for Cohort: mpirun.sh -np 4 [--host a:2,b:2 | --hostfile FILE] program arguments…
# All arguments go to mpirun. What this adds:
#   - ranks on several hosts learn where rank 0 is: COHORT_COORDINATOR, the first host of the list and a
#     port (COHORT_PORT, else one made from this process' id), is passed to every rank, and so is the
#     job's secret (COHORT_JOB_SECRET_FILE or COHORT_JOB_SECRET, else a random one);
#   - Open MPI does not bind ranks to cores, and they give way while they wait.
set -euo pipefail

(($#)) || {
  echo "usage: $0 -np N [--host LIST | --hostfile FILE] program arguments…" >&2
  exit 2
}

hosts=()
add_list() {
  local IFS=,
  for host in $1; do hosts+=("${host%%:*}"); done
}
add_file() {
  while read -r host _; do
    [[ -z $host || $host == \#* ]] || hosts+=("${host%%:*}")
  done <"$1"
}

arguments=("$@")
for ((i = 0; i < $#; ++i)); do
  case ${arguments[i]} in
    --host | -host | -H) add_list "${arguments[++i]}" ;;
    --hostfile | -hostfile | --machinefile | -machinefile) add_file "${arguments[++i]}" ;;
    --mca | -mca | --gmca | -gmca) ((i += 2)) ;;
    -np | -n | --np | -c | -x | --map-by | --rank-by | --bind-to | --wdir | -wdir | -wd | --path | \
      --prefix | --output-filename | --timeout | --personality | -N | -npernode | --npernode)
      ((i += 1)) ;;
    -*) ;;
    *) break ;; # the program
  esac
done
# What the MPI operator of Kubernetes and administrators set.
if ((!${#hosts[@]})) && [[ -n ${OMPI_MCA_orte_default_hostfile:-} ]]; then
  add_file "$OMPI_MCA_orte_default_hostfile"
fi
# Within a Slurm allocation mpirun takes the allocation's nodes.
if ((!${#hosts[@]})) && [[ -n ${SLURM_JOB_NODELIST:-} ]]; then
  while read -r host; do hosts+=("$host"); done < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
fi

extra=(--bind-to none --mca mpi_yield_when_idle 1)
mapfile -t different < <(printf '%s\n' "${hosts[@]}" | sort -u)
if ((${#different[@]} > 1)); then
  if [[ -z ${COHORT_COORDINATOR:-} ]]; then
    export COHORT_COORDINATOR=${hosts[0]}:${COHORT_PORT:-$((20000 + $$ % 10000))}
  fi
  extra+=(-x COHORT_COORDINATOR)
  # By its name alone: a value would be in mpirun's command line, which everybody can read.
  if [[ -n ${COHORT_JOB_SECRET_FILE:-} ]]; then
    extra+=(-x COHORT_JOB_SECRET_FILE)
  else
    [[ -n ${COHORT_JOB_SECRET:-} ]] ||
      COHORT_JOB_SECRET=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    export COHORT_JOB_SECRET
    extra+=(-x COHORT_JOB_SECRET)
  fi
fi
exec "${COHORT_MPIRUN:-mpirun}" "${extra[@]}" "$@"
