#!/usr/bin/env bash
# Compiles compare_dlpack.c against the real dlpack.h, which the wheel of apache-tvm-ffi brings.
# Use: dlpack_header.sh PYTHON COMPILER
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd) || exit
find_header='import os, importlib.util as u; spec = u.find_spec("tvm_ffi")
print(os.path.join(os.path.dirname(spec.origin), "include"))'
folder=$([[ -n $1 ]] && "$1" -c "$find_header" 2>/dev/null)
if [[ ! -f $folder/dlpack/dlpack.h ]]; then
  echo 'skipped: no dlpack.h: UDM_TEST_PYTHON is not set, or has no apache-tvm-ffi'
  exit 77
fi
"$2" -std=c11 -fsyntax-only -Wall -Wextra -Werror -isystem "$folder" -I "$here/../src" \
  "$here/compare_dlpack.c"
