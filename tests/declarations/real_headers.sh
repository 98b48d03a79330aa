#!/usr/bin/env bash
# One of our headers of CUDA declarations against the real cuda.h or nvrtc.h.
# real_headers.sh driver|nvrtc [FILE, instead of the tree's]
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=headers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/headers.sh"

set_header "$1" "${2:-}"
require_cuda_header "$real_header"

failures=0
for compiler in $(c_compilers); do
  compare_functions "$compiler" || failures=$((failures + 1))
  compare_types "$compiler" || failures=$((failures + 1))
done
functions=$(grep -cE '^ *X\((const char \*, |nvrtcResult, )?(cu|nvrtc)[A-Z]' "$header")
echo "$functions functions, $(wc -l <"$work/ours") types and constants, $failures failures"
[[ $functions -gt 0 && $failures -eq 0 ]]
