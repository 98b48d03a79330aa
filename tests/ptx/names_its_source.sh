#!/usr/bin/env bash
# The head of ptx/decode_metadata.ptx has the hash of the kernel's source, and the oldest driver and
# GPU that it supports.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
ptx=$root/ptx/decode_metadata.ptx
hash=$(sha256sum <"$root/nvrtc_src/decode_metadata.cu" | cut -d ' ' -f 1)

failures=0
has_line() {
  grep -qxF -- "$1" "$ptx" && return
  echo "no line '$1' in ptx/decode_metadata.ptx: run ptx/generate and commit the result"
  failures=$((failures + 1))
}

has_line "// source sha256 $hash"
has_line '.version 7.8'
has_line '.target sm_70'
for kernel in direct direct_large_batch table general; do
  has_line ".visible .entry udm_decode_metadata_$kernel("
done
[[ $failures -eq 0 ]]
