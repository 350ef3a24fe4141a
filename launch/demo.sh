#!/usr/bin/env bash
# Installs what is missing, builds, and trains a convolutional network on Fashion-MNIST with
# MirroredStrategy: over all GPUs, or over two logical CPU devices where there is no GPU.
# Arguments go to examples/fashion_mnist: launch/demo.sh --epochs 1
set -euo pipefail
cd "$(dirname "$0")/.."

launch/install_packages.sh
cmake --preset release
cmake --build build/release --parallel "$(nproc)" --target fashion_mnist
exec build/release/examples/fashion_mnist --model cnn --strategy mirrored "$@"
