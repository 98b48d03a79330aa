# compilers.sh: the compilers of this machine, and a scratch folder. Sourced.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
# shellcheck source=../../tools/shell/cuda.sh
source "$root/tools/shell/cuda.sh"

work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT

skip() {
  echo "skipped: $1"
  exit 77
}

# c_compilers, cxx_compilers: gcc and clang, as far as this machine has them.
c_compilers() { command -v gcc clang; }
cxx_compilers() { command -v g++ clang++; }

# require_cuda_header HEADER: sets cuda_include, or skips the test.
require_cuda_header() {
  cuda_include=$(cuda_include_dir "$1") ||
    skip "no $1 here (a CUDA toolkit, or tools/check, brings it)"
  echo "$1 is in $cuda_include"
}
