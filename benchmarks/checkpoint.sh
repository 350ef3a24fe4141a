#!/bin/bash
# Saves and restores of a state beside dd, a copy of memory and PyTorch: checkpoint_speed.cc.
#   benchmarks/checkpoint.sh [MiB [MiB of the state saved beside training]]      1000 600
# The medians of all rounds, which take turns: a line for each case with its bar.
# Environment: COHORT_BENCH_ROUNDS (5), COHORT_BENCH_DIRECTORY (a disk's; the current one), COHORT_PEERS_VENV,
# COHORT_CHECKPOINT_SPEED (our program), COHORT_BENCH_PREFIX (in front of it).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mib=${1:-1000} beside=${2:-600} rounds=${COHORT_BENCH_ROUNDS:-5}
venv=${COHORT_PEERS_VENV:-$root/.venv-peers}
python=$venv/venv-torch/bin/python
ours=${COHORT_CHECKPOINT_SPEED:-$root/build/release/benchmarks/checkpoint_speed}
folder=$(mktemp -d "${COHORT_BENCH_DIRECTORY:-.}/cohort-checkpoint-XXXXXX")
trap 'rm -rf "$folder"' EXIT
[ -x "$python" ] || "$root/benchmarks/peers/setup.sh" >&2

run_ours() { ${COHORT_BENCH_PREFIX:-} "$ours" "$1" "$folder/state" "$2" "${3:-1}"; }
run_torch() { "$python" "$root/benchmarks/peers/checkpoint_torch.py" "$1" "$folder/state" "$mib" 1; }
run_dd() { # the same durability: the file and its directory
  sync
  local begin=$EPOCHREALTIME
  dd if=/dev/zero of="$folder/dd" bs=1M count="$mib" conv=fsync status=none
  sync "$folder"
  awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "dd %.6f\n", b - a }'
  rm "$folder/dd"
}

for ((round = 0; round < rounds; ++round)); do
  run_dd
  run_ours save "$mib"
  run_torch torch_save
  run_torch torch_dcp
  run_ours memcpy "$mib"
  run_ours restore "$mib"
  run_torch torch_load
  run_torch torch_load_mmap
done >"$folder/times"
run_ours beside_training "$beside" "$rounds" >>"$folder/times"

python3 - "$folder/times" "$mib" "$beside" <<'EOF'
import collections, statistics, sys

samples = collections.defaultdict(list)
for line in open(sys.argv[1]):
    name, value = line.split()[:2]
    samples[name].append(float(value))
median = {name: statistics.median(values) for name, values in samples.items()}
mib, beside = int(sys.argv[2]), int(sys.argv[3])


def line(text, value, bar, good):
    print(f"{text:58} {value:7.3f}   {bar:12} {'ok' if good else 'MISSED'}")


print(f"{mib} MiB, medians of {len(samples['save'])}: " +
      ", ".join(f"{name} {median[name]:.3f} s" for name in samples if name not in ("unit", "memory")))
at_least = lambda text, value, bar: line(text, value, f">= {bar}", value >= bar)
at_most = lambda text, value, bar: line(text, value, f"<= {bar}", value <= bar)
at_least("save: speed over dd", median["dd"] / median["save"], 0.9)
at_least("save: speed over torch.save and fsync", median["torch_save"] / median["save"], 1.0)
at_least("save: speed over torch DCP and fsync", median["torch_dcp"] / median["save"], 1.0)
at_most("restore: time over a memcpy", median["restore"] / median["memcpy"], 1.3)
at_least("restore: speed over torch.load", median["torch_load"] / median["restore"], 2.0)
at_least("restore: speed over torch.load, mmap", median["torch_load_mmap"] / median["restore"], 2.0)
print(f"beside training, {beside} MiB: a step is {median['step'] / median['unit']:.1f} copies of the state")
at_most("asynchronous save: time added to steps, in copies", median["added"] / median["unit"], 0.7)
at_most("asynchronous save: memory, in states", median["memory"], 1.0)
EOF
