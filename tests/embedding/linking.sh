#!/usr/bin/env bash
# The static library from the moved prefix, with CMake and with pkg-config --static, and the versions
# that find_package accepts and refuses.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=steps.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/steps.sh"

require_path_without_spaces
folder=$(fresh_folder linking) || exit 1
cat >"$folder/main.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <udm.h>
int main(void) { return puts(udm_version_string()) < 0 || strcmp(udm_version_string(), VERSION) != 0; }
C
cat >"$folder/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.22)
project(linking LANGUAGES C)
find_package(udm ${WANTED} CONFIG REQUIRED)
add_executable(main main.c)
target_compile_definitions(main PRIVATE VERSION="${udm_VERSION}")
target_link_libraries(main PRIVATE udm::udm_static)
C
configure() { # WANTED
  rm -rf "$folder/build"
  cmake -S "$folder" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$PREFIX" -DWANTED="$1"
}

version=$(pkg-config --modversion udm) || fail 'pkg-config'
IFS=. read -r major minor patch <<<"$version"
for wanted in "$major.$minor.$patch" "$major.$minor" "$major"; do
  configure "$wanted" >"$folder/log" 2>&1 || { cat "$folder/log" && fail "$wanted was refused"; }
done
for wanted in "$major.$((minor + 1))" "$((major + 1)).0" "$major.$minor.$((patch + 1))"; do
  configure "$wanted" >"$folder/log" 2>&1 && fail "$wanted was accepted by $version"
  grep -q 'version: '"$version" "$folder/log" || { cat "$folder/log" && fail "$wanted: another reason"; }
done

quietly configure "$version"
quietly cmake --build "$folder/build"
"$folder/build/main" || fail 'the program that was linked statically'
readelf -d "$folder/build/main" | grep libudm && fail 'it is not linked statically'

# pkg-config has one name for both libraries: linker options choose
# shellcheck disable=SC2046
quietly cc -DVERSION="\"$version\"" $(pkg-config --cflags udm) "$folder/main.c" -o "$folder/static" \
  -Wl,-Bstatic $(pkg-config --libs udm) -Wl,-Bdynamic $(pkg-config --static --libs-only-l udm |
    sed 's/-ludm//')
"$folder/static" || fail 'the program that pkg-config linked statically'
readelf -d "$folder/static" | grep libudm && fail 'pkg-config --static: not linked statically'
exit 0
