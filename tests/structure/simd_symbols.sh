#!/bin/sh
# simd_symbols.sh NAMESPACE OBJECT...
# Fails when an object compiled for one instruction set defines a symbol that the linker may take for
# the whole library: an inline function, template or variable outside NAMESPACE. The copy that the
# linker keeps could then use instructions that this processor does not have.
namespace=$1
shift
shared=$(nm --defined-only "$@" | awk -v own="$namespace" '$2 ~ /^[WVu]$/ && $3 !~ own {print $3}' |
  grep -v '^DW\.ref\.' | sort -u)
[ -z "$shared" ] && exit 0
echo "shared with objects for other instruction sets:"
echo "$shared" | c++filt
exit 1
