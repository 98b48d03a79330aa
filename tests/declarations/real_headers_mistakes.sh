#!/usr/bin/env bash
# The comparison with the real header can fail: each of several mistakes, made in a copy of a list
# or of its types, is found, and the message names what is wrong. real_headers_mistakes.sh LIST
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=lists.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lists.sh"

set_list "$1"
require_cuda_header "$real_header"

failures=0
# mistake FILE NAME SED_EXPRESSION: the copy so changed must be refused, with NAME in the reason.
mistake() {
  local copy=$work/copy
  rm -rf "$copy" && mkdir "$copy" && cp "$(dirname "$list")"/*.h "$copy/" || exit 1
  sed -i -E "$3" "$copy/$1"
  if cmp -s "$copy/$1" "$(dirname "$list")/$1"; then
    echo "no longer a mistake, it changes nothing: $3"
    failures=$((failures + 1))
  elif bash "$root/tests/declarations/real_headers.sh" "$name" "$copy" >"$work/output" 2>&1; then
    echo "not found: $3"
    failures=$((failures + 1))
  elif ! grep -q "$2" "$work/output"; then
    echo "found, but without naming $2: $3"
    cat "$work/output"
    failures=$((failures + 1))
  else
    echo "found: $3"
  fi
}

name=$1
case $name in
  runtime_driver)
    mistake driver_symbols.h cuModuleUnload 's/cuModuleUnload, 2000, \(CUmodule /cuModuleUnload, 2000, (int /'
    mistake driver_symbols.h cuLaunchKernel 's/unsigned int block_z, //'
    mistake driver_symbols.h cuCtxPushCurrent 's/cuCtxPushCurrent_v2/cuCtxPushCurrent_v9/'
    mistake driver_symbols.h cuCtxGetCurrent 's/cuCtxGetCurrent, 4000/cuCtxGetCurrent, 4001/'
    mistake driver_symbols.h cuLibraryUnload 's/cuLibraryUnload, 12000/cuLibraryUnload, 11000/'
    mistake driver_symbols.h COMPUTE_CAPABILITY_MINOR 's/(CAPABILITY_MINOR), 76/\1, 77/'
    mistake driver_types.h CUdevice 's/typedef int CUdevice;/typedef long CUdevice;/'
    ;;
  tool_driver)
    # The old entry point of the same name takes 32-bit addresses.
    mistake cuda_driver_symbols.h cuMemAlloc 's/cuMemAlloc_v2/cuMemAlloc/'
    mistake cuda_driver_symbols.h cuEventElapsedTime 's/float \*milliseconds/double *milliseconds/'
    mistake cuda_driver_symbols.h NON_BLOCKING 's/(CU_STREAM_NON_BLOCKING) = 1/\1 = 2/'
    ;;
  runtime_nvrtc)
    mistake nvrtc_symbols.h nvrtcGetCUBINSize 's/size_t \*size/int *size/'
    mistake nvrtc_symbols.h nvrtcVersion 's/, nvrtcVersion,/, nvrtcVersions,/'
    mistake nvrtc_symbols.h COMPILATION 's/(ERROR_COMPILATION), 6/\1, 7/'
    mistake nvrtc_types.h nvrtcResult 's/typedef unsigned int nvrtcResult/typedef long nvrtcResult/'
    ;;
esac
[[ $failures -eq 0 ]]
