#!/usr/bin/env bash
# Installs what is missing, builds, and trains a convolutional network on Fashion-MNIST with
# MultiWorkerMirroredStrategy: in one process for each GPU; where there is none, in two. Arguments go to
# examples/fashion_mnist: launch/demo.sh --epochs 1
set -euo pipefail
cd "$(dirname "$0")/.."

launch/install_packages.sh
cmake --preset release
cmake --build build/release --parallel "$(nproc)" --target fashion_mnist cohort-launch

gpus=$(nvidia-smi --list-gpus 2>/dev/null | grep -c GPU) || gpus=2
exec build/release/launch/cohort-launch -n "$gpus" build/release/examples/fashion_mnist --model cnn \
  --strategy multi_worker_mirrored "$@"
