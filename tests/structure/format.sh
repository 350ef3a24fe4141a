#!/usr/bin/env bash
# Every source is as clang-format writes it. Versions differ in what they write, so there is one.
#   tests/structure/format.sh [ROOT]
set -euo pipefail
version=14
cd "${1:-$(dirname "$0")/../..}"

formatter=
for candidate in "clang-format-$version" clang-format; do
  if "$candidate" --version 2>/dev/null | grep -q "version $version\."; then
    formatter=$candidate
    break
  fi
done
if [[ -z $formatter ]]; then
  echo "format: no clang-format $version here"
  exit 77
fi

find . \( -name build -o -name '.?*' \) -prune -o \
  \( -name '*.cc' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 --no-run-if-empty -P 2 -n 64 "$formatter" --dry-run -Werror
