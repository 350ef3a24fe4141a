#!/usr/bin/env bash
# Installs the Debian packages that building, testing and the demo need; does nothing when they are
# all there. Without root or sudo it names what is missing and fails.
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache mold      # tools
  libfmt-dev zlib1g-dev nlohmann-json3-dev libdnnl-dev  # libraries
  libcli11-dev libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  libcpp-httplib-dev libssl-dev pkg-config  # metrics over HTTP, TLS
  libopenmpi-dev                         # MPI between hosts
  libgtest-dev libgmock-dev              # tests
  openmpi-bin slurm-wlm munge slurmctld slurmd slurm-client iproute2 nftables openssl python3  # tests of jobs
  dataset-fashion-mnist                  # the demo's data
)

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
