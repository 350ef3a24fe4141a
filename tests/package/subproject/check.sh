#!/usr/bin/env bash
# The library as a part of another project (add_subdirectory, FetchContent), configured but not built:
# it changes nothing of that project, builds and installs no tests and examples, its modules lie beside
# it and are built for whoever links cohort::cohort, and the project's program compiles.
#   check.sh CMAKE COMPILER SOURCE_FOLDER SCRATCH_FOLDER
set -euo pipefail
cmake=$1 compiler=$2 source=$3 scratch=$4
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$scratch"
mkdir -p "$scratch"

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

"$cmake" -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_BUILD_TYPE=Release -DCOHORT_SOURCE_DIR="$source" -Wdev -Werror=dev >"$scratch/configure" 2>&1 || {
  cat "$scratch/configure" >&2
  fail "the project does not configure"
}
! grep -n -i 'warning' "$scratch/configure" || fail "a warning"

# Own flags, for the library too; ours that decide its numbers.
commands=$scratch/build/compile_commands.json
error_cc=$(grep -m1 '"command".*core/error\.cc' "$commands")
for flag in -DOUTSIDE_RELEASE -ffp-contract=off; do
  [[ $error_cc == *" $flag "* ]] || fail "core/error.cc is compiled without $flag: $error_cc"
done
[[ $error_cc != *" -O2 "* ]] || fail "core/error.cc is compiled with -O2, not the project's -O1"

# One folder for the library and its modules, which are built before the program.
mapfile -t folders <"$scratch/build/folders.txt"
[[ ${folders[0]} == "$scratch/build/outside_libraries" ]] || fail "the library lies in ${folders[0]}"
program_needs=$(grep '^build outside: ' "$scratch/build/build.ninja")
for line in "${folders[@]:1}"; do
  read -r folder name <<<"$line"
  [[ $folder == "${folders[0]}" ]] || fail "$name lies in $folder, the library in ${folders[0]}"
  [[ $program_needs == *"/$name "* ]] || fail "$name is not built for the program"
done

[[ $(cd "$scratch/build" && "${cmake%cmake}ctest" -N) == *"Total Tests: 0"* ]] || fail "it has tests"
"$cmake" --install "$scratch/build" --prefix "$scratch/prefix" >/dev/null 2>&1 ||
  fail "it has something to install"
[[ ! -e $scratch/prefix ]] || fail "it installs $(find "$scratch/prefix" -type f | head -n 3)"

# The program, with warnings as errors and its own core/error.h before ours.
program=$(grep -m1 '"command".*package/main\.cc' "$commands" |
  sed 's/^ *"command": "\(.*\)",\{0,1\}$/\1/; s/\\\(.\)/\1/g; s/ -o [^ ]*/ -fsyntax-only/; s/ -c / /')
(cd "$scratch/build" && bash -c "$program") || fail "the program does not compile: $program"
echo "ok"
