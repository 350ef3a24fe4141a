#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test:
#   release  everything, with CUDA when nvcc is there; all tests
#   asan     the address and undefined-behaviour sanitizers, on the concurrent parts
#   tsan     the thread sanitizer, on the same but for long tests of one thread
#   minimal  without any optional library; all tests of what that changes
# `tests/run.sh release tsan` runs only those.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=$(nproc)
tests_at_once=$((2 * jobs)) # many wait rather than work

step() { printf '\n=== %s\n' "$*"; }

build() { # build PRESET [configure option...] [-- target...]
  local preset=$1 options=()
  shift
  while (($#)) && [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  (($#)) && shift
  step "$preset: build"
  # Several sources at a time: headers are read once for all of them. As many as in the demo's preset,
  # of whose library the compiler's cache has most files.
  cmake --preset "$preset" -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 "${options[@]}"
  cmake --build "build/$preset" --parallel "$jobs" ${1:+--target "$@"}
  step "$preset: test"
}

run_release() {
  local options=(-DCOHORT_BENCHMARKS=ON)
  if command -v nvcc >/dev/null || [[ -x /usr/local/cuda/bin/nvcc ]]; then
    options+=(-DCOHORT_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=90-real)
  fi
  build release "${options[@]}"
  ctest --preset release --parallel "$tests_at_once"
}

run_asan() {
  build asan -- concurrent_tests
  ctest --preset asan --parallel "$tests_at_once" --label-regex concurrent
}

run_tsan() {
  build tsan -- concurrent_tests
  ctest --preset tsan --parallel "$tests_at_once" --label-regex concurrent \
    --exclude-regex '\.(CorruptFiles|FashionMnist|ResolverFuzz|Serialize)Test\.'
}

# Its objects are those of release but for oneDNN's twin: what has neither a kernel nor an optional part
# in it does what it did there.
run_minimal() {
  build minimal
  ctest --preset minimal --parallel "$tests_at_once" --exclude-regex "$same_as_in_release"
}
same_as_in_release='^(data|interop|launch|structure)\.|^kernels\.(Simd|Vector)'
same_as_in_release+='|^distribute\.(Of/)?(Communicator|GroupStart|HostGroup|InProcess|ProcessGroup|SlowLink)'

launch/install_packages.sh tests
(($#)) || set -- release asan tsan minimal
for name; do
  "run_$name"
done
