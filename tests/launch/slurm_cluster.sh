#!/usr/bin/env bash
# A Slurm cluster of four nodes on this machine, for tests: munge, slurmctld and four slurmd, without
# systemd and without touching the system's own configuration.
#   slurm_cluster.sh start FOLDER   starts it; FOLDER is absolute and short. Then SLURM_CONF=FOLDER/slurm.conf
#   slurm_cluster.sh stop FOLDER    stops what was started
#   slurm_cluster.sh check          ends with 77 and the reason where it cannot run
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

check() {
  for program in munged slurmctld slurmd srun sbatch; do
    command -v "$program" >/dev/null || {
      echo "skipped: no $program here (Debian's packages slurm-wlm and munge have it)"
      exit 77
    }
  done
  ((EUID == 0)) || {
    echo "skipped: Slurm's daemons need root"
    exit 77
  }
}

# Five ports that are free now, away from those of a real cluster.
first_port=$((21000 + $$ % 1700 * 5))
while ss --no-header --tcp --listening "sport >= $first_port and sport <= $((first_port + 4))" | grep -q .; do
  ((first_port += 5))
done

write_configuration() {
  local folder=$1 host
  host=$(hostname -s)
  cat >"$folder/slurm.conf" <<EOF
ClusterName=cohort
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.sock
CredType=cred/munge
SlurmctldPort=$first_port
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=2
InactiveLimit=0
SlurmctldTimeout=30
SlurmdTimeout=30
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
TmpFS=$folder/tmp/%n
NodeName=node[1-4] NodeHostname=$host NodeAddr=127.0.0.[1-4] Port=[$((first_port + 1))-$((first_port + 4))] CPUs=4 RealMemory=1024 State=UNKNOWN
PartitionName=main Nodes=node[1-4] Default=YES MaxTime=INFINITE State=UP
EOF
}

start() {
  local folder=$1
  mkdir -p "$folder"/{state,spool,log,run,munge,tmp/node1,tmp/node2,tmp/node3,tmp/node4}
  chmod 755 "$folder" "$folder/run"
  dd if=/dev/urandom of="$folder/munge/munge.key" bs=128 count=1 status=none
  chmod 600 "$folder/munge/munge.key"
  write_configuration "$folder"
  export SLURM_CONF=$folder/slurm.conf
  # The daemons go to the background by themselves and must not hold this script's output.
  munged --key-file="$folder/munge/munge.key" --socket="$folder/run/munge.sock" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" \
    --seed-file="$folder/munge/seed" </dev/null >"$folder/log/start.log" 2>&1
  slurmctld -c </dev/null >>"$folder/log/start.log" 2>&1
  for node in node1 node2 node3 node4; do
    slurmd -N "$node" </dev/null >>"$folder/log/start.log" 2>&1
  done
  for ((i = 0; i < 120; ++i)); do
    (($(timeout 10 sinfo -h -N -t idle -o %N 2>/dev/null | wc -l) == 4)) && return
    sleep 0.25
  done
  echo "the cluster did not come up:" >&2
  tail -n 5 "$folder"/log/*.log >&2
  return 1
}

# Ends the processes whose ids the daemons wrote, if they are still Slurm's.
stop() {
  local folder=$1 pids=()
  for file in "$folder"/run/slurmd.*.pid "$folder/run/slurmctld.pid" "$folder/run/munged.pid"; do
    [[ -s $file ]] || continue
    pid=$(<"$file")
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == @(slurmd|slurmctld|munged) ]] || continue
    kill "$pid" && pids+=("$pid")
  done
  for ((i = 0; i < 40; ++i)); do
    local left=()
    for pid in "${pids[@]}"; do [[ -d /proc/$pid ]] && left+=("$pid"); done
    ((${#left[@]})) || return 0
    sleep 0.25
  done
  kill -KILL "${left[@]}" 2>/dev/null || true # the last may have ended just now
}

case ${1:-} in
  check) check ;;
  start) check && start "$2" ;;
  stop) stop "$2" ;;
  *) echo "usage: slurm_cluster.sh check | start FOLDER | stop FOLDER" >&2 && exit 2 ;;
esac
