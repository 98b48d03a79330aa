#!/usr/bin/env bash
# include/udm.h compiles as C11 and C++17, with every compiler of this machine and warnings as
# errors: alone, before cuda.h, or after it.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"

here=$root/tests/declarations
flags=(-Wall -Wextra -pedantic -Werror -fsyntax-only -I "$root/include")
case $1 in
  alone) ;;
  before) flags+=(-DCUDA_H_AFTER) ;;
  after) flags+=(-DCUDA_H_BEFORE) ;;
esac
if [[ $1 != alone ]]; then
  require_cuda_header cuda.h
  flags+=(-isystem "$cuda_include")
fi

failures=0
compiled=0
compile() { # COMPILER STANDARD LANGUAGE
  echo "$1 -std=$2"
  "$1" -std="$2" -x "$3" "${flags[@]}" "$here/use_public_header.c" || failures=$((failures + 1))
  compiled=$((compiled + 1))
}
for compiler in $(c_compilers); do compile "$compiler" c11 c; done
for compiler in $(cxx_compilers); do compile "$compiler" c++17 c++; done

# The file uses every initialiser that the header has.
while read -r macro; do
  if ! grep -q "= $macro;" "$here/use_public_header.c"; then
    echo "use_public_header.c does not use $macro"
    failures=$((failures + 1))
  fi
done < <(sed -nE 's/^#define (UDM_[A-Z_]+_INIT)\b.*/\1/p' "$root/include/udm.h")

echo "$compiled compilations, $failures failures"
[[ $compiled -ge 2 && $failures -eq 0 ]]
