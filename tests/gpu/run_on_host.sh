#!/usr/bin/env bash
# Proves Cohort on a host with a GPU, from a bundle of make_bundle.sh, in two calls of under 4 minutes:
#   run_on_host.sh first            device and module; every test in a process of its own, up to eight at once; where
#                                   workspaces begin; memcheck of one training; Adam beside a copy
#   run_on_host.sh second [TEST...] what failed in the first call, or the tests named; racecheck; MLP and CNN beside
#                                   PyTorch; a profile; the same beside JAX; compiled PyTorch
# The host has a driver, CUDA's libraries (PyTorch's wheels or a toolkit) and python3; PyTorch, JAX, compute-sanitizer
# and ncu are used where they are. Each step prints at once; at the end come a verdict and one archive of logs.
#   OUT                    the archive's folder (results, in the bundle)
#   COHORT_HOST_SECONDS    for all steps (220); a step that no longer fits is skipped and named
#   COHORT_HOST_TESTS      the tests of the first call, as GoogleTest filters them (*)
#   COHORT_HOST_FORCE=1    goes on after a failed probe
# Exits with 0 when no step failed or was left out for want of time.
command -v python3 >/dev/null || { echo "run_on_host.sh: no python3 here" >&2; exit 2; }
exec python3 -u "$(dirname "${BASH_SOURCE[0]}")/host_steps.py" "$@"
