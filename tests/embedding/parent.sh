#!/usr/bin/env bash
# A hostile parent project takes udm in: parent.sh LANGUAGE COMPILER LIBRARY LTO WAY
# LANGUAGE C or CXX, COMPILER gcc or clang, LIBRARY udm or udm_static, LTO ON or OFF, WAY
# add_subdirectory or FetchContent.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=steps.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/steps.sh"

language=$1 compiler=$2 library=$3 lto=$4 way=$5
command -v "$compiler" >/dev/null || skip "no $compiler here"
declare -A cxx=([gcc]=g++ [clang]=clang++)
flags=()
if [[ $compiler == clang && $lto == ON ]]; then
  command -v ld.lld >/dev/null || skip 'clang links with LTO by lld, which is not here'
  flags=(-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld -DCMAKE_SHARED_LINKER_FLAGS=-fuse-ld=lld)
fi

folder=$(fresh_folder "parent-$language-$compiler") || exit 1
CC=$compiler CXX=${cxx[$compiler]} quietly cmake -S "$SOURCE/tests/embedding/parent" -B "$folder" \
  -G Ninja -DLANGUAGE="$language" -DLIBRARY="$library" -DUDM_SOURCE="$SOURCE" -DWAY="$way" \
  -DCMAKE_INTERPROCEDURAL_OPTIMIZATION="$lto" -DCMAKE_UNITY_BUILD=ON "${flags[@]}"
quietly cmake --build "$folder"
"$folder/host" || fail 'the parent'"'"'s program'

# What the parent did not ask for is neither built nor installed nor tested.
other=$([[ $library == udm ]] && echo libudm.a || echo libudm.so)
find "$folder" -name "$other" | grep . && fail "$other was built, though nothing links it"
quietly cmake --install "$folder" --prefix "$folder/prefix"
[[ -z $(find "$folder/prefix" -type f ! -name host) ]] || fail 'something of udm was installed'
tests=$(ctest --test-dir "$folder" -N | sed -n 's/^Total Tests: //p')
[[ $tests == 1 ]] || fail "the parent has $tests tests, not its own one"
