#!/usr/bin/env bash
# bundle_test.sh BUILD_FOLDER: the bundle of this build, and its two calls where no GPU can be used: everything is
# started that a GPU host would run, and the verdicts say what passed, failed and was skipped, with the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $1"
  cat "$work"/*.out
  exit 1
}
expect() { # expect FILE PATTERN...: each matches a line
  local file=$work/$1.out pattern
  shift
  for pattern; do
    grep -Eq -- "$pattern" "$file" || fail "want a line that matches: $pattern"
  done
}
call() { # call OUTPUT STATUS PATH_BEFORE VARIABLES... -- ARGUMENTS...: on a host whose GPUs are hidden
  local output=$work/$1.out want=$2 path=$3 variables=() status=0
  shift 3
  while [[ $1 != -- ]]; do
    variables+=("$1")
    shift
  done
  shift
  env -i "PATH=$path/usr/bin:/bin" "CUDA_HOME=${CUDA_HOME:-/usr/local/cuda}" CUDA_VISIBLE_DEVICES= "OUT=$work/logs" "${variables[@]}" \
    "$work/bundle/tests/gpu/run_on_host.sh" "$@" >"$output" 2>&1 || status=$?
  ((status == want)) || fail "run_on_host.sh $*: got exit status $status; want $want"
  local lines
  lines=$(sed -n '/^== verdict/,$p' "$output" | wc -l)
  ((lines > 0 && lines <= 60)) || fail "got a verdict of $lines lines; want 1 to 60"
  [[ -s $work/logs/gpu_${*:1:1}.tar.gz ]] || fail "no archive of logs"
}

# oneDNN, which the preset gpu-host is built without, is not counted.
spare=$(ldd "$build/tests/test_gpu" | awk '/libdnnl|libOpenCL/ { print $3 }' | xargs -r cat | wc -c)
export COHORT_BUNDLE_MIB=$((60 + (spare >> 20)))
"$here/make_bundle.sh" "$build" "$work/bundle" | tee "$work/bundle.out"
expect bundle '^bundle .*: [0-9]+ KiB, with the source tree [0-9]+ of at most [0-9]+ KiB$'
COHORT_BUNDLE_MIB=1 "$here/make_bundle.sh" "$build" "$work/bundle" >"$work/large.out" 2>&1 &&
  fail "a bundle of more than 1 MiB is not refused"
expect large 'too large; the largest files:' 'KiB lib/libcohort'
mkdir "$work/other"
"$here/make_bundle.sh" "$build" "$work/other" >"$work/other.out" 2>&1 && fail "a folder that is no bundle is replaced"
expect other 'which is there and no bundle'

# A driver that answers, and tools that do not reach the device.
mkdir "$work/fake"
fake() { # fake NAME SCRIPT
  local file=$work/fake/$1
  [[ $1 != */* ]] || file=$work/bundle/$1
  printf '#!/bin/sh\n%s\n' "$2" >"$file"
  chmod +x "$file"
}
fake nvidia-smi 'echo "No card at all, 0.0"'
fake compute-sanitizer 'echo "========= Error: Device not supported"; exit 1'
fake bare_python "echo \"ModuleNotFoundError: No module named 'torch'\"; exit 1"
# shellcheck disable=SC2016  # for the program, not for this script
fake torch_python '[ "$1" = -c ]'
fake ncu 'echo "==ERROR== ERR_NVGPUCTRPERM: no permission"; exit 1'

call probe 1 "$work/fake:" -- first
expect probe '^FAILED +probe' 'needs a GPU; here: cuda: no ' ' No card at all, 0.0$' '^skipped +tests .*: the probe failed$' \
  '^skipped +workspaces' '^skipped +memcheck' '^skipped +adam'
tar -tzf "$work/logs/gpu_first.tar.gz" >"$work/archive.out"
expect archive 'gpu_first/verdict' 'gpu_first/probe' 'gpu_first/libraries'

call first 1 "$work/fake:" COHORT_HOST_FORCE=1 "COHORT_PYTHON=$work/fake/bare_python" 'COHORT_HOST_TESTS=GpuSoftmaxTest.*:ModuleTest.AnUnknown*' -- first
expect first '^FAILED +tests' ' 1 passed, [1-9][0-9]* skipped$' '[1-9] skipped: needs a GPU; here: cuda: no ' \
  '^FAILED +workspaces' ' 0 workspaces logged' '^skipped +memcheck .*compute-sanitizer: .*Device not supported' \
  "^skipped +adam .*: no torch to compare with: ModuleNotFoundError: No module named 'torch'$"
tar -tzf "$work/logs/gpu_first.tar.gz" >"$work/archive.out"
expect archive 'gpu_first/tests/ModuleTest.AnUnknown'

# What a sanitizer finds is no refusal. What failed in the first call is known to the second.
fake compute-sanitizer 'echo "========= Invalid __global__ read"; echo "========= ERROR SUMMARY: 3 errors"; exit 9'
echo ModuleTest.AnUnknownCohortDeviceIsAnError >"$work/bundle/results/failed"
call second 1 "$work/fake:" COHORT_HOST_FORCE=1 "COHORT_PYTHON=$work/fake/torch_python" -- second
expect second '^passed +again' 'PASSED +\] 1 test' '^FAILED +racecheck' 'ERROR SUMMARY: 3 errors' \
  'Invalid __global__ read' '^FAILED +mlp' '# train_steps mlp_b32 1: ended' 'torch_gpu.py mlp_b256 1 graph: ended' \
  '^FAILED +cnn' 'torch_gpu.py cnn_b64 1 graph_nhwc: ended' '^skipped +profile .*ncu: .*ERR_NVGPUCTRPERM' \
  '^FAILED +mlp compiled' '^FAILED +cnn compiled' 'torch_gpu.py cnn_b64 1 compile_graph: ended'

call late 1 "$work/fake:" COHORT_HOST_SECONDS=5 -- first
expect late '^skipped +probe .*no time left of 5 s' '^skipped +adam'

# How a host with a GPU answers: programs that only speak.
# shellcheck disable=SC2016  # for the programs, not for this script
fake tests/test_gpu 'case "$*" in
  *list_tests*) printf "Running main() from x.cc\nGpuATest.\n  Good\n  Bad\n  Dies\nGpuBTest.\n  Many/0  # GetParam() = 3\n" ;;
  *GpuTraining*) echo "[cublasLtMatmul] workSpace=0X7F0000000100 workSpaceSizeInBytes=1 workSpace=0X0" >"$CUBLASLT_LOG_FILE" ;;
  *GpuDevice*) echo "[       OK ] GpuDeviceTest.CopiesOfEverySizeComeBack (1 ms)" ;;
  *Bad*) printf "x_test.cc:7: Failure\nExpected equality of these values:\n"; exit 1 ;;
  *Dies*) kill -ABRT $$ ;;
  *Many*) printf "x_test.cc:9: Skipped\nneeds 2 GPUs; here: 1\n" ;;
esac'
# shellcheck disable=SC2016
speaks='echo "ready $name $label"; while read -r go; do echo "$case 1 0 $us 0.5 0.25"; done'
fake benchmarks/gpu_adam "name=cohort label=recorded case=\$1 us=50; $speaks"
fake benchmarks/train_steps "name=cohort label=default case=\$1 us=40; $speaks"
fake peer "name=torch_gpu case=\$2 label=\$4; us=60; [ \$4 != copy ] || us=45; $speaks"
fake compute-sanitizer 'echo "========= ERROR SUMMARY: 0 errors"'
call spoken 1 "$work/fake:" "COHORT_PYTHON=$work/fake/peer" -- first
expect spoken '^passed +probe' '^FAILED +tests' ' 2 failed, 1 passed, 1 skipped$' ' 1 skipped: needs 2 GPUs; here: 1$' \
  'GpuATest.Bad: Expected equality' 'GpuATest.Dies: exit status -6$' \
  '^passed +workspaces .*: 2 workspaces logged, 0 at no multiple' '^passed +memcheck .*: ========= ERROR SUMMARY: 0 errors$' \
  '^passed +adam' 'adam_4m: cohort recorded 50.0 us ' 'adam_4m: torch_gpu copy 45.0 us .*\(0.90 of cohort\)$' \
  "Adam moves its bytes at 0.90 of a copy's speed; bar 0.85 met"
sed -i 's/0100 workSpaceSize/0140 workSpaceSize/' "$work/bundle/tests/test_gpu"
fake benchmarks/gpu_adam "name=cohort label=recorded case=\$1 us=60; $speaks"
call odd 1 "$work/fake:" "COHORT_PYTHON=$work/fake/peer" 'COHORT_HOST_TESTS=GpuATest.Good' -- first
expect odd '^FAILED +workspaces' '2 workspaces logged, 1 at no multiple' '0x7f0000000140' 'bar 0.85 MISSED'
# A profile with a whole step, from update to update.
# shellcheck disable=SC2016
fake ncu 'echo "\"ID\",\"Kernel Name\",\"Metric Name\",\"Metric Unit\",\"Metric Value\""
row() { echo "\"0\",\"$1\",\"gpu__time_duration.sum\",\"ns\",\"$2\""; }
row first 9,000; row adam_kernel 1,500; row conv_kernel 7,000; row pool 500; row adam_kernel 1,500; row last 9,000'
call better 0 "$work/fake:" "COHORT_PYTHON=$work/fake/peer" -- second GpuATest.Good
expect better '^passed +again' '^passed +racecheck' '^passed +mlp' 'mlp_b256: torch_gpu graph 60.0 us .*1.50 of cohort' \
  '^passed +cnn' 'cnn_b64: torch_gpu graph_nhwc' '^passed +profile' 'a step of cnn_b64: 3 kernels, 9 us' \
  ' 7.0 us conv_kernel' '^passed +mlp compiled' '^passed +cnn compiled'
echo passed
