#!/usr/bin/env bash
# Installs what is missing, builds what it needs in build/demo, and trains a convolutional network on
# Fashion-MNIST: in two worker processes with MultiWorkerMirroredStrategy; where there are GPUs, in one process
# over all of them with MirroredStrategy. Arguments go to examples/fashion_mnist: launch/demo.sh --epochs 1
set -euo pipefail
cd "$(dirname "$0")/.."

options=()
gpus=false
if nvidia-smi --list-gpus 2>/dev/null | grep -q GPU; then
  gpus=true
  options=(-DCOHORT_CUDA=AUTO -DCMAKE_CUDA_ARCHITECTURES=native)
fi

launch/install_packages.sh demo
cmake --preset demo "${options[@]}"
cmake --build build/demo --parallel "$(nproc)" --target fashion_mnist cohort-launch

example=(build/demo/examples/fashion_mnist --model cnn)
if $gpus; then
  exec "${example[@]}" --strategy mirrored "$@"
fi
exec build/demo/launch/cohort-launch -n 2 "${example[@]}" --strategy multi_worker_mirrored "$@"
