#!/bin/bash
# Cohort beside PyTorch, TensorFlow and JAX: one line per case. See README.md and protocol.md.
#   benchmarks/compare.sh [case...]       cases: mlp_b32 mlp_b256 small_sgd small_adam cnn_b64 cnn_b64:2
#                                         mlp_b32@2 cnn_b64@2 (two workers, beside PyTorch's DDP)
#   benchmarks/compare.sh collectives     all-reduce between processes beside Open MPI, see collectives.sh
#   benchmarks/compare.sh collectives_tcp all-reduce over TCP beside the link's raw throughput (as root)
#   benchmarks/compare.sh messages        calls through a message port beside a raw connection
#   benchmarks/compare.sh overlap         communication that shaped links cannot hide (as root)
#   benchmarks/compare.sh start_up        from cohort-launch to the first step of 4 local workers
#   benchmarks/compare.sh planning        what one rank of 4096 does before its first step
#   benchmarks/compare.sh checkpoint      saves and restores beside dd, memcpy and PyTorch's
# Environment: COHORT_BENCH_ROUNDS (7), COHORT_BENCH_SECONDS of one block (1), COHORT_BENCH_CLOCK (wall, cpu),
# COHORT_BENCH_NICE (-20, as root, keeps other work away from a block; 0),
# COHORT_PEERS_VENV (where the peers are or go), COHORT_TRAIN_STEPS (our program),
# COHORT_BENCH_PROGRAMS (only these, e.g. "cohort torch_eager").
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1:-} in
  collectives | collectives_tcp | messages | overlap | start_up | planning | checkpoint)
    script=$root/benchmarks/$1.sh
    shift
    exec "$script" "$@"
    ;;
esac
export COHORT_PEERS_VENV=${COHORT_PEERS_VENV:-$root/.venv-peers}
for peer in torch tensorflow jax; do
  [ -x "$COHORT_PEERS_VENV/venv-$peer/bin/python" ] || "$root/benchmarks/peers/setup.sh" >&2
done
export COHORT_TRAIN_STEPS=${COHORT_TRAIN_STEPS:-$root/build/release/benchmarks/train_steps}
exec python3 "$root/benchmarks/compare.py" "$@"
