#!/usr/bin/env bash
# Installs what is missing, builds, and trains a convolutional network on Fashion-MNIST: in two worker
# processes with MultiWorkerMirroredStrategy; where there are GPUs, in one process over all of them with
# MirroredStrategy. Arguments go to examples/fashion_mnist: launch/demo.sh --epochs 1
set -euo pipefail
cd "$(dirname "$0")/.."

launch/install_packages.sh
cmake --preset release
cmake --build build/release --parallel "$(nproc)" --target fashion_mnist cohort-launch

example=(build/release/examples/fashion_mnist --model cnn)
if nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then
  exec "${example[@]}" --strategy mirrored "$@"
fi
exec build/release/launch/cohort-launch -n 2 "${example[@]}" --strategy multi_worker_mirrored "$@"
