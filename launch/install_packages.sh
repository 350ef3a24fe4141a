#!/usr/bin/env bash
# Installs Debian packages that are missing; does nothing when all are there.
#   launch/install_packages.sh demo    what building and running the demo needs
#   launch/install_packages.sh build   the same and every optional library (the default)
#   launch/install_packages.sh tests   the same and what the tests start: Slurm, Open MPI, ...
# Without root or sudo it names what is missing and fails.
set -euo pipefail

demo=(
  g++ cmake ninja-build ccache mold pkg-config          # tools
  libfmt-dev zlib1g-dev nlohmann-json3-dev libdnnl-dev  # libraries
  libcli11-dev libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libssl-dev
  dataset-fashion-mnist                                 # its data
)
build=(
  libhdf5-dev         # files of weights as Keras has them
  libzip-dev          # NumPy's files of several arrays
  libcpp-httplib-dev  # metrics over HTTP
  libopenmpi-dev      # MPI between hosts; brings openmpi-bin along
)
tests=(
  libgtest-dev libgmock-dev clang-format-14
  openmpi-bin slurm-wlm munge slurmctld slurmd slurm-client iproute2 nftables openssl python3
)

case ${1:-build} in
  demo) packages=("${demo[@]}") ;;
  build) packages=("${demo[@]}" "${build[@]}") ;;
  tests) packages=("${demo[@]}" "${build[@]}" "${tests[@]}") ;;
  *)
    echo "install_packages.sh: got \"$1\"; want demo, build or tests" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "No dpkg here: please provide what these Debian packages hold: ${packages[*]}" >&2
  exit 0 # configuring says what is really missing
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null || ! sudo -v; then
    echo "Missing packages, and neither root nor sudo to install them. Please install:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
wait_for_lock=(-o DPkg::Lock::Timeout=300)
"${as_root[@]}" apt-get "${wait_for_lock[@]}" update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get "${wait_for_lock[@]}" install -y -qq --no-install-recommends "${missing[@]}"
