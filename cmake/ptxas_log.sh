#!/usr/bin/env bash
# ptxas_log.sh COMMAND … -o OBJECT …: runs the compiler; what ptxas tells of each kernel goes to
# OBJECT.ptxas, which tests/gpu/registers.py reads, and everything else where it would have gone.
set -uo pipefail
arguments=("$@")
object=
for ((i = 0; i + 1 < $#; ++i)); do
  if [[ ${arguments[i]} == -o ]]; then object=${arguments[i + 1]}; fi
done
told='^ptxas info|^    [0-9]+ bytes (stack frame|cumulative)'
{ messages=$("$@" 2>&1 >&3); } 3>&1
status=$?
grep -E "$told" <<<"$messages" >"$object.ptxas"
grep -Ev "$told" <<<"$messages" | sed '/^$/d' >&2
exit "$status"
