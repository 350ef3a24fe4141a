#!/usr/bin/env bash
# Disturbs small training jobs at random (kills, cuts, slow links, limits, errors in data and callbacks,
# strangers) and checks after each what docs/distributed.md promises. Prints a line for each trial, a table
# and the seed.
#   tests/campaign.sh [minutes] [seed]            default: 3 minutes, a random seed
#   tests/campaign.sh 1 SEED --only cut,slow      some scenarios
#   tests/campaign.sh 1 0 --trial SEED.NUMBER     one trial again
set -euo pipefail
cd "$(dirname "$0")/.."
launch/install_packages.sh tests
cmake --preset release >/dev/null
cmake --build build/release --parallel "$(nproc)" --target campaign_worker cohort-launch
arguments=(--worker "$PWD/build/release/tests/campaign_worker"
           --launcher "$PWD/build/release/launch/cohort-launch")
(($# < 1)) || arguments+=(--minutes "$1")
(($# < 2)) || arguments+=(--seed "$2")
exec tests/campaign/campaign.py "${arguments[@]}" "${@:3}"
