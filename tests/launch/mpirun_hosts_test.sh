#!/usr/bin/env bash
# mpirun over two hosts, which network namespaces stand for: the weights of its four ranks are those
# of four workers on one host.
#   mpirun_hosts_test.sh COHORT_LAUNCH PROGRAM arguments…
# Exits with 77 where that cannot be tried (ctest counts it as skipped).
set -euo pipefail
mpirun=$(realpath "$(dirname "$0")/../../launch/mpirun.sh")
launch=$(realpath "$1")
program=$(realpath "$2")
shift 2
command=("$program" "$@")
id=m$$
folder=$(mktemp -d /tmp/cohort-mpirun-XXXXXX)
unset TF_CONFIG COHORT_JOB_ID

leave() {
  for host in "$id-1" "$id-2"; do ip netns del "$host" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap leave EXIT
skip() {
  echo "skipped: $1"
  exit 77
}
fail() {
  echo "FAILED: $1" >&2
  tail -n 20 "$folder"/*.log >&2
  exit 1
}

((EUID == 0)) || skip "not root"
for tool in ip unshare mpirun; do command -v $tool >/dev/null || skip "no $tool"; done
ip netns add "$id-1" 2>/dev/null || skip "no network namespaces here"
ip netns add "$id-2"
ip -n "$id-1" link add eth0 type veth peer name eth0 netns "$id-2"
for i in 1 2; do
  ip -n "$id-$i" addr add "10.79.0.$i/24" dev eth0
  ip -n "$id-$i" link set lo up
  ip -n "$id-$i" link set eth0 up
done
cat >"$folder/rsh" <<'END'
#!/usr/bin/env bash
# rsh [options] HOST COMMAND: runs it in the host's network, under the host's name.
while [[ $1 == -* ]]; do shift; done
host=$1
shift
exec ip netns exec "$host" unshare --uts bash -c "hostname $host; $*"
END
chmod +x "$folder/rsh"

weights() { # weights LOG: the one hash that four workers printed
  mapfile -t hashes < <(sed -n 's/.*weights: \([0-9a-f]*\).*/\1/p' "$folder/$1")
  ((${#hashes[@]} == 4)) || fail "$1: ${#hashes[@]} workers printed their weights"
  (($(printf '%s\n' "${hashes[@]}" | sort -u | wc -l) == 1)) || fail "$1: the weights differ"
  echo "${hashes[0]}"
}

"$launch" -n 4 "${command[@]}" >"$folder/one.log" 2>&1 || fail "cohort-launch"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 COHORT_COORDINATOR=10.79.0.1:22222
timeout 240 "$folder/rsh" "$id-1" "$mpirun" --mca plm ^slurm --mca plm_rsh_agent "$folder/rsh" \
  --mca oob_tcp_if_include 10.79.0.0/24 --host "$id-1:2,$id-2:2" -np 4 "${command[*]}" \
  >"$folder/hosts.log" 2>&1 || fail "mpirun"
one=$(weights one.log)
hosts=$(weights hosts.log)
[[ $one == "$hosts" ]] || fail "one host gives $one, two give $hosts"
echo "ok: $hosts"
