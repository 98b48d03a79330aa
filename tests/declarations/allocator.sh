#!/usr/bin/env bash
# Host memory comes from allocator.c alone, so that a host's allocator gives it: no other object of
# the library calls malloc, with two exceptions, stated below. allocator.sh STATIC_LIBRARY
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=compilers.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/compilers.sh"

nm -A --undefined-only "$1" >"$work/undefined" || exit 1
sed -nE 's/^[^:]*:([^:]+): +U (malloc|calloc|realloc|reallocarray|strdup|strndup|aligned_alloc|posix_memalign|asprintf|vasprintf|free)$/\1 \2/p' \
  "$work/undefined" | sort >"$work/calls"
grep '^allocator\.c\.o malloc$' "$work/calls" >/dev/null || {
  echo 'allocator.c.o does not call malloc: the symbols were not understood'
  cat "$work/calls"
  exit 1
}
# nvrtc_compile.c keeps the name of the process's locale, which another call than the one that took
# it may free
if grep -vE '^(allocator|nvrtc_compile)\.c\.o ' "$work/calls"; then
  echo 'use udm_malloc and udm_free of runtime/core/allocator.h'
  exit 1
fi
echo "$(cut -d: -f2 "$work/undefined" | sort -u | wc -l) objects, memory from one of them"
