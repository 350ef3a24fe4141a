#!/usr/bin/env bash
# Installs what is missing, builds what it needs in build/demo, and trains a convolutional network on
# Fashion-MNIST with MultiWorkerMirroredStrategy: in one process for each GPU; where there is none, in two.
# One epoch; arguments go to examples/fashion_mnist: launch/demo.sh --epochs 5
set -euo pipefail
cd "$(dirname "$0")/.."

options=()
if gpus=$(nvidia-smi --list-gpus 2>/dev/null | grep -c GPU); then
  options=(-DCOHORT_CUDA=AUTO -DCMAKE_CUDA_ARCHITECTURES=native)
else
  gpus=2
fi

launch/install_packages.sh demo
cmake --preset demo "${options[@]}"
cmake --build build/demo --parallel "$(nproc)" --target fashion_mnist cohort-launch

exec build/demo/launch/cohort-launch -n "$gpus" build/demo/examples/fashion_mnist --model cnn \
  --strategy multi_worker_mirrored --epochs 1 "$@"
