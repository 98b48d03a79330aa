#!/usr/bin/env bash
# The shared library has its SONAME, needs libc alone, and refers to no symbol of the CUDA driver
# or of NVRTC. library_needs.sh LIBRARY SANITIZERS
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"

[[ -z ${2:-} ]] || skip "a library built with -fsanitize=$2 needs the sanitizers' runtime"

failures=0
wrong() {
  echo "wrong: $*"
  failures=$((failures + 1))
}

readelf -d "$1" >"$work/dynamic" || exit 1
major=$(sed -nE 's/^#define UDM_VERSION_MAJOR ([0-9]+)$/\1/p' "$root/include/udm.h")
grep -qF "Library soname: [libudm.so.${major:?}]" "$work/dynamic" ||
  wrong "SONAME: $(grep SONAME "$work/dynamic"), expected libudm.so.$major"

needed=0
while read -r library; do
  needed=$((needed + 1))
  case $library in
    libc.so.* | ld-linux*) ;;
    libdl.so.* | libpthread.so.*) ;; # parts of libc before glibc 2.34
    *) wrong "it needs $library" ;;
  esac
done < <(sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' "$work/dynamic")
[[ $needed -gt 0 ]] || wrong 'readelf -d shows no NEEDED at all'

grep -E '\((RPATH|RUNPATH|TEXTREL)\)' "$work/dynamic" && wrong 'it carries a path or text relocations'

nm -D --undefined-only --format=posix "$1" >"$work/undefined" || exit 1
while read -r symbol _; do
  [[ $symbol =~ ^(cu[A-Z]|cuda[A-Z]|nvrtc) ]] && wrong "it refers to $symbol"
done <"$work/undefined"

echo "$needed libraries needed, $(wc -l <"$work/undefined") undefined symbols, $failures wrong"
[[ $failures -eq 0 ]]
