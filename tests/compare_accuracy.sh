#!/bin/bash
# Test accuracy on Fashion-MNIST, PyTorch beside examples/fashion_mnist: a line per seed and
# model, then the means and their difference. Fails when our mean is more than 0.4 points below.
#   tests/compare_accuracy.sh [mlp|cnn ...]
# Environment: COHORT_SEEDS ("1 2 3"), COHORT_EPOCHS (5), COHORT_DATA_DIR, COHORT_PEERS_VENV,
# COHORT_FASHION_MNIST (our program; build/release/examples/fashion_mnist).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export COHORT_PEERS_VENV=${COHORT_PEERS_VENV:-$root/.venv-peers}
export COHORT_DATA_DIR=${COHORT_DATA_DIR:-/usr/share/datasets/fashion-mnist}
ours=${COHORT_FASHION_MNIST:-$root/build/release/examples/fashion_mnist}
epochs=${COHORT_EPOCHS:-5}
[ -x "$COHORT_PEERS_VENV/venv-torch/bin/python" ] || "$root/benchmarks/peers/setup.sh" >&2
[ -x "$ours" ] || { echo "compare_accuracy.sh: no $ours; build it first" >&2; exit 2; }

failed=0
for model in ${@:-mlp cnn}; do
  case $model in
    mlp) batch=32 ;;
    cnn) batch=64 ;;
    *) echo "compare_accuracy.sh: got model $model; want mlp or cnn" >&2; exit 2 ;;
  esac
  lines=$(
    for seed in ${COHORT_SEEDS:-1 2 3}; do
      mine=$("$ours" --model "$model" --strategy one_device --epochs "$epochs" --batch-size "$batch" \
        --seed "$seed" --data-dir "$COHORT_DATA_DIR" | sed -n 's/^test accuracy: //p')
      peer=$("$COHORT_PEERS_VENV/venv-torch/bin/python" "$root/tests/torch_accuracy.py" "$model" \
        "$batch" "$epochs" "$seed" | sed -n 's/^test accuracy: //p')
      echo "$model seed $seed: cohort $mine, torch $peer"
      echo "$model seed $seed: cohort $mine, torch $peer" >&2
    done
  )
  awk -v model="$model" '{ gsub(",", ""); mine += $5; peer += $7; n++ }
    END { difference = 100 * (mine - peer) / n
          printf "%s mean of %d: cohort %.4f, torch %.4f, difference %+.2f points\n",
                 model, n, mine / n, peer / n, difference
          exit difference < -0.4 }' <<<"$lines" || failed=1
done
exit $failed
