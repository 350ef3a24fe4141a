#!/usr/bin/env bash
# Packs what run_on_host.sh needs on a host with a GPU, a driver and CUDA's libraries, but no compiler and none of
# our packages: the GPU tests, the benchmarks, the libraries they link, Fashion-MNIST's test images, the scripts.
#   make_bundle.sh                      builds the preset gpu-host for sm_90 ($CUDAARCHS for others) and packs it
#                                       into build/gpu-bundle
#   make_bundle.sh BUILD_FOLDER FOLDER  packs what was built in BUILD_FOLDER
# Fails where bundle and source tree together exceed COHORT_BUNDLE_MIB (60).
set -euo pipefail
cd "$(dirname "$0")/../.."
limit=$((${COHORT_BUNDLE_MIB:-60} << 20))
build=${1:-build/gpu-host} bundle=${2:-build/gpu-bundle}
images=${COHORT_DATA_DIR:-/usr/share/datasets/fashion-mnist}

if (($# == 0)); then
  cmake --preset gpu-host "-DCMAKE_CUDA_ARCHITECTURES=${CUDAARCHS:-90-real}"
  cmake --build "$build" --target test_gpu train_steps gpu_adam cohort_cuda
fi

if [[ -e $bundle && ! -e $bundle/tests/gpu/run_on_host.sh ]]; then
  echo "make_bundle.sh: got $bundle, which is there and no bundle; want a new folder or an older bundle" >&2
  exit 1
fi
rm -rf "$bundle"
mkdir -p "$bundle"/{lib,data,tests/gpu,benchmarks/gpu,benchmarks/peers}
cp "$build/tests/test_gpu" "$bundle/tests/"
cp "$build"/benchmarks/{train_steps,gpu_adam} "$bundle/benchmarks/"
cp "$build/lib/libcohort_cuda.so" "$bundle/lib/"

# Every host has the compiler's runtime and the system's libraries; CUDA's come with the host's toolkit or wheels.
of_host='^(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libcublas|libcublasLt|libcudart|libcudnn|libnccl)\.so'
linked() { ldd "$build/tests/test_gpu" "$build"/benchmarks/{train_steps,gpu_adam} "$build/lib/libcohort_cuda.so"; }
while read -r name _ path _; do
  [[ $path != not ]] || { echo "make_bundle.sh: $name, which the programs link, is not found here" >&2; exit 1; }
  cp "$path" "$bundle/lib/$name"
done < <(linked | grep ' => ' | grep -Ev "${of_host/^/^[[:space:]]*}" | sort -u)

strip --strip-debug "$bundle"/lib/*.so* "$bundle/tests/test_gpu" "$bundle"/benchmarks/{train_steps,gpu_adam}
cp "$images"/t10k-{images-idx3,labels-idx1}-ubyte.gz "$bundle/data/"
cp tests/gpu/{run_on_host.sh,host_steps.py} "$bundle/tests/gpu/"
cp benchmarks/gpu/*.py "$bundle/benchmarks/gpu/"
cp benchmarks/peers/{common,torch_eager,jax_scan}.py "$bundle/benchmarks/peers/"

total() { tail -n 1 | cut -f 1; }
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  sources=$(git ls-files -z --cached --others --exclude-standard | du -cb --files0-from=- 2>/dev/null | total)
else
  sources=$(du -cb --exclude=./build . | total)
fi
packed=$(du -cb "$bundle" | total)
printf 'bundle %s: %d KiB, with the source tree %d of at most %d KiB\n' \
  "$bundle" $((packed >> 10)) $(((packed + sources) >> 10)) $((limit >> 10))
if ((packed + sources > limit)); then
  echo "make_bundle.sh: too large; the largest files:" >&2
  find "$bundle" -type f -printf '%k KiB %P\n' | sort -rn | head -n 5 >&2
  exit 1
fi
