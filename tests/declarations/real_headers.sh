#!/usr/bin/env bash
# One of the project's lists of entry points, with its types and constants, against the real
# cuda.h or nvrtc.h. real_headers.sh LIST [FOLDER of the list and the types, instead of the tree's]
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=lists.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lists.sh"

set_list "$1" "${2:-}"
require_cuda_header "$real_header"

failures=0
for compiler in $(c_compilers); do
  compare_list "$compiler" || failures=$((failures + 1))
  compare_types "$compiler" || failures=$((failures + 1))
done
echo "$(grep -cE '_SYMBOL\([^r]' "$list") entry points, $(wc -l <"$work/ours") types and constants," \
  "$failures failures"
[[ $failures -eq 0 ]]
