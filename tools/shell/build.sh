# Configures and builds one build folder. Sourced by tools/quickstart and tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}"

# forget_moved_build DIR: a build folder that came along when the tree was copied cannot be used.
forget_moved_build() {
  local home
  [[ -f $1/CMakeCache.txt ]] || return 0
  home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$1/CMakeCache.txt")
  if [[ $home != "$root" ]]; then
    say "$1 was made for $home: configuring anew"
    rm -rf "$1/CMakeCache.txt" "$1/CMakeFiles"
  fi
}

# build DIR CMAKE_ARGUMENT...
build() {
  local dir=$1 generator=()
  shift
  new_log build
  forget_moved_build "$dir"
  [[ -f $dir/CMakeCache.txt ]] || generator=(-G Ninja)
  must 'configuring' build cmake -S "$root" -B "$dir" "${generator[@]}" "$@"
  must 'the build' build cmake --build "$dir" --parallel "$(nproc)"
}
