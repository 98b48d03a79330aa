#!/usr/bin/env bash
# What docs/EMBEDDING.md says of sizes, measured: size.sh LIBRARY DRIVER. LIBRARY is a libudm.so of a
# Release build, DRIVER the fake driver. Not a test: the figures are the machine's.
#
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

strip --strip-unneeded -o "$work/libudm.so" "$1"
stat -c 'libudm.so, stripped: %s bytes' "$work/libudm.so"
[[ ! -f ${1%.so*}.a ]] || stat -c 'libudm.a: %s bytes' "${1%.so*}.a"
cc -std=gnu11 -O2 -I "$here/../../include" "$here/size.c" -o "$work/size" -ldl
export UDM_DRIVER_LIBRARY=$2 UDM_CACHE_DIR=$work/cache
echo 'cold cache: the first udm_create compiles'
"$work/size" "$work/libudm.so"
echo 'warm cache'
"$work/size" "$work/libudm.so"
