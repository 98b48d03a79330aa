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
  # the library runs nothing at exit, on a signal or in a thread of its own, and prints nothing
  case ${symbol%%@*} in
    atexit | on_exit | __cxa_atexit | __cxa_thread_atexit* | at_quick_exit | pthread_create | \
      thrd_create | signal | sigaction | pthread_key_create | stdout | stderr | printf | puts | \
      __printf_chk | __fprintf_chk | fprintf | abort | exit | _exit | setenv | putenv)
      wrong "it refers to $symbol"
      ;;
  esac
done <"$work/undefined"

# One initialiser and one finaliser, the compiler's own: no constructor, no destructor.
for section in init_array fini_array; do
  size=$(readelf -S --wide "$1" | sed -nE "s/.* \.$section +[A-Z_]+ +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) .*/\1/p")
  [[ $((16#${size:-0})) -le 8 ]] || wrong ".$section holds $((16#$size / 8)) functions"
done

echo "$needed libraries needed, $(wc -l <"$work/undefined") undefined symbols, $failures wrong"
[[ $failures -eq 0 ]]
