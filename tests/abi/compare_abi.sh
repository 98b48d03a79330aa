#!/usr/bin/env bash
# The interface of the shared library, as the compiler's debug information gives it, is the one of
# tests/abi/libudm.abi. compare_abi.sh LIBRARY [--update]
#
# Exit 0: the same. 1: a function is gone. 2: a change that a person must judge by docs/ABI.md, and then
# record with --update. 77: abidiff is missing.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
root=$(cd -- "$here/../.." && pwd -P) || exit 1
recorded=$here/libudm.abi
library=${1:?usage: compare_abi.sh LIBRARY [--update]}

command -v abidw abidiff >/dev/null || {
  echo 'skipped: abidw and abidiff are missing (Debian: abigail-tools)'
  exit 77
}
readelf -S "$library" | grep '\.debug_info' >/dev/null || {
  echo "skipped: $library has no debug information: build with -DCMAKE_BUILD_TYPE=RelWithDebInfo"
  exit 77
}

if [[ ${2:-} == --update ]]; then
  # the build folder is no part of the interface
  abidw --exported-interfaces-only --headers-dir "$root/include" --drop-private-types --no-corpus-path --no-comp-dir-path \
    --type-id-style hash "$library" |
    sed -E "s#(path|filepath)='[^']*/([^/']+/[^/']+)'#\1='\2'#" >"$recorded" || exit 1
  echo "recorded: $(grep -c '<elf-symbol ' "$recorded") symbols"
  exit 0
fi

abidiff --headers-dir1 "$root/include" --headers-dir2 "$root/include" --no-show-locs "$recorded" "$library"
changes=$?
# abidiff's exit status is a set of bits
if ((changes & 3)); then
  echo "abidiff could not compare $recorded with $library"
  exit 1
elif ((changes & 8)); then
  echo 'an incompatible change: docs/ABI.md'
  exit 1
elif ((changes)); then
  echo 'the interface changed: see docs/ABI.md, then bash tests/abi/compare_abi.sh LIBRARY --update'
  exit 2
fi
echo "$(grep -c '<elf-symbol ' "$recorded") symbols, as recorded"
