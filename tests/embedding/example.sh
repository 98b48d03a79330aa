#!/usr/bin/env bash
# One example, built against the moved prefix, and run: example.sh NAME PROGRAM cmake|make LINE
# LINE is one that the program must print.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=steps.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/steps.sh"

name=$1 program=$2 way=$3 line=$4
[[ $way != make ]] || require_path_without_spaces
folder=$(fresh_folder "example-$name-$way") || exit 1
if [[ $name == rust ]]; then
  # Debian's, if it is there: the oldest that must do
  RUSTC=$(command -v /usr/bin/rustc rustc | head -n 1)
  [[ -n $RUSTC ]] || skip 'no rustc here (Debian: rustc)'
  export RUSTC
fi
case $way in
  cmake)
    quietly cmake -S "$SOURCE/examples/$name" -B "$folder" -G Ninja -DCMAKE_PREFIX_PATH="$PREFIX" \
      -DCMAKE_C_FLAGS=-Werror -DCMAKE_CXX_FLAGS=-Werror
    quietly cmake --build "$folder"
    ;;
  make)
    # in a copy, as in a host's tree, with warnings as errors
    mkdir "$folder/examples" "$folder/out"
    cp -r "$SOURCE/examples/$name" "$SOURCE/examples/cuda_calls.h" "$folder/examples/"
    cp -r "$SOURCE/cuda" "$folder/"
    quietly make -C "$folder/examples/$name" OUT="$folder/out" \
      CFLAGS='-O2 -std=c11 -Wall -Wextra -Wpedantic -Werror' \
      CXXFLAGS='-O2 -std=c++17 -Wall -Wextra -Wpedantic -Werror'
    folder=$folder/out
    ;;
esac

require_warm_cache
output=$("$folder/$program") || fail "$program: exit $?: $output"
echo "$output"
grep -qF "$line" <<<"$output" || fail "$program did not print '$line'"
# It runs with the library of the moved prefix, not with another one of this machine.
ldd "$folder/$program" | grep -F "$PREFIX/" >/dev/null || fail "$program does not use $PREFIX"
