#!/usr/bin/env bash
# The C program of README.md compiles with warnings as errors and links with the library.
# readme_example.sh LIBRARY SANITIZERS
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"

# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$root/README.md" >"$work/example.c"
grep -q udm_decode_metadata_direct "$work/example.c" || {
  echo 'README.md has no C program that calls udm_decode_metadata_direct'
  exit 1
}
failures=0
for compiler in $(c_compilers); do
  "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror \
    -I "$root/include" -c "$work/example.c" -o "$work/example.o" || failures=$((failures + 1))
done
[[ $failures -eq 0 ]] || exit 1
[[ -z ${2:-} ]] || skip "compiled, but not linked with a library built with -fsanitize=$2"
echo 'int main(void) { return 0; }' >"$work/main.c"
cc "$work/main.c" "$work/example.o" "$1" -o "$work/example" || exit 1
echo 'the program of README.md compiles and links'
