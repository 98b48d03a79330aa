#!/usr/bin/env bash
# The head of ptx/decode_metadata.ptx has the hash of the kernel's source, and the oldest driver and
# GPU that it supports.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
ptx=$root/ptx/decode_metadata.ptx
hash=$(cat "$root"/nvrtc_src/{kernel_params.h,decode_metadata.cu} | sha256sum | cut -d ' ' -f 1)

failures=0
has_line() {
  grep -qxF -- "$1" "$ptx" && return
  echo "no line '$1' in ptx/decode_metadata.ptx: run ptx/generate and commit the result"
  failures=$((failures + 1))
}

has_line "// source sha256 $hash"
has_line '.version 7.8'
has_line '.target sm_70'
has_line '.visible .entry udm_decode_metadata_general('
if grep -q 'udm_decode_metadata_direct' "$ptx"; then
  echo 'ptx/decode_metadata.ptx has more than the general kernel'
  failures=$((failures + 1))
fi
[[ $failures -eq 0 ]]
