#!/usr/bin/env bash
# The shared library exports exactly the functions that include/udm.h declares.
# exported_symbols.sh LIBRARY
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"

# Statements that are no typedef and have a name followed by a parenthesis.
cc -E -P "$root/include/udm.h" | tr '\n;' ' \n' | grep -v typedef |
  sed -nE 's/^.*\b(udm_[a-z0-9_]+) ?\(.*/\1/p' | sort >"$work/declared"
# "udm_create@@UDM_0.1 T ..."; the version's own name is the one absolute symbol.
nm -D --defined-only --format=posix "$1" | grep -v ' A ' | sed 's/[@ ].*//' | sort >"$work/exported"

[[ $(wc -l <"$work/declared") -ge 10 ]] || {
  echo 'too few declarations were found in udm.h:'
  cat "$work/declared"
  exit 1
}
if ! diff --label include/udm.h --label "$(basename "$1")" -u "$work/declared" "$work/exported"; then
  echo 'the library exports something else than the public header declares: see runtime/udm.map'
  exit 1
fi
if nm -D --defined-only --format=posix "$1" | grep -v ' A ' | grep -vF '@@UDM_'; then
  echo 'exported without a version'
  exit 1
fi
echo "$(wc -l <"$work/declared") functions, declared and exported"
