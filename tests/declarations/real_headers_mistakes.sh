#!/usr/bin/env bash
# The comparison with the real header can fail: each of several mistakes, made in a copy of our
# header, is found, and the message names what is wrong. real_headers_mistakes.sh driver|nvrtc
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=headers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/headers.sh"

name=$1
set_header "$name"
require_cuda_header "$real_header"

failures=0
# mistake NAME SED_EXPRESSION: the comparison must reject the copy so changed, with NAME in the reason.
mistake() {
  local copy=$work/copy.h
  sed -E "$2" "$header" >"$copy"
  if cmp -s "$copy" "$header"; then
    echo "no longer a mistake, it changes nothing: $2"
    failures=$((failures + 1))
  elif bash "$root/tests/declarations/real_headers.sh" "$name" "$copy" >"$work/output" 2>&1; then
    echo "not found: $2"
    failures=$((failures + 1))
  elif ! grep -q "$1" "$work/output"; then
    echo "found, but without naming $1: $2"
    cat "$work/output"
    failures=$((failures + 1))
  else
    echo "found: $2"
  fi
}

case $name in
  driver)
    mistake cuModuleUnload 's/cuModuleUnload, 2000, \(CUmodule /cuModuleUnload, 2000, (int /'
    mistake cuLaunchKernel 's/unsigned int block_z, //'
    mistake cuCtxPushCurrent 's/cuCtxPushCurrent_v2/cuCtxPushCurrent_v9/'
    mistake cuCtxGetCurrent 's/cuCtxGetCurrent, 4000/cuCtxGetCurrent, 4001/'
    mistake cuLibraryUnload 's/cuLibraryUnload, 12000/cuLibraryUnload, 11000/'
    mistake COMPUTE_CAPABILITY_MINOR 's/(CAPABILITY_MINOR), 76/\1, 77/'
    mistake NON_BLOCKING 's/(CU_STREAM_NON_BLOCKING), 1/\1, 2/'
    mistake CUdevice 's/typedef int CUdevice;/typedef long CUdevice;/'
    mistake CUDA_KERNEL_NODE_PARAMS 's/^ *void \*\*extra;//'
    mistake cuEventElapsedTime 's/float \*milliseconds/double *milliseconds/'
    # The older function of the same name takes 32-bit addresses.
    mistake cuMemAlloc 's/cuMemAlloc_v2, 3020/cuMemAlloc, 3020/'
    ;;
  nvrtc)
    mistake nvrtcGetCUBINSize 's/(nvrtcGetCUBINSize, .*)size_t \* ?size/\1int *size/'
    mistake nvrtcVersion 's/, nvrtcVersion,/, nvrtcVersions,/'
    mistake COMPILATION 's/(ERROR_COMPILATION), 6/\1, 7/'
    mistake nvrtcResult 's/typedef unsigned int nvrtcResult/typedef long nvrtcResult/'
    ;;
esac
[[ $failures -eq 0 ]]
