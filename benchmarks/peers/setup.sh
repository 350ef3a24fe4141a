#!/bin/bash
# Installs the peers of the benchmarks and of the golden values: the newest PyTorch, TensorFlow with
# Keras, and JAX, each in a virtual environment of its own under $COHORT_PEERS_VENV
# (default: .venv-peers in the repository root, which git ignores). About 8 GB; a second run only checks.
# With --upgrade, moves everything to the newest versions.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
venv=${COHORT_PEERS_VENV:-$root/.venv-peers}
upgrade=${1:-}
mkdir -p "$venv"

install() {  # install NAME MODULE PACKAGE...: makes venv-NAME unless MODULE imports there already
  local python="$venv/venv-$1/bin/python" module=$2
  shift 2
  [ -x "$python" ] || python3 -m venv "$(dirname "$(dirname "$python")")"
  if [ -n "$upgrade" ] || ! (cd / && "$python" -c "import $module") >/dev/null 2>&1; then
    nice "$python" -m pip install --quiet --upgrade "$@"
  fi
}
version() {
  (cd / && TF_CPP_MIN_LOG_LEVEL=3 "$venv/venv-$1/bin/python" -c "import $2; print('$2', $2.__version__)" 2>/dev/null)
}

install torch torch torch numpy
install tensorflow keras,tensorflow,safetensors tensorflow-cpu keras safetensors
install jax jax 'jax[cpu]'
version torch torch
version tensorflow tensorflow
version tensorflow keras
version jax jax
