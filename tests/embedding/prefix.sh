#!/usr/bin/env bash
# Installs the build into a scratch prefix, moves it, and compiles the kernel into a cache for the
# tests that run something. prefix.sh BUILD_DIR
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=steps.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/steps.sh"

rm -rf "$WORK"
mkdir -p "$WORK"
quietly cmake --install "$1" --prefix "$WORK/installed-here"
mv "$WORK/installed-here" "$PREFIX" || exit 1

if grep -rlF "$WORK/installed-here" "$PREFIX"; then
  fail 'these files still name the prefix that they were installed to'
fi
for file in include/udm.h include/udm.hpp bin/udm; do
  [[ -f $PREFIX/$file ]] || fail "$file was not installed"
done
[[ $("$PREFIX/bin/udm" --version) == "udm $(pkg-config --modversion udm)" ]] ||
  fail 'udm --version and pkg-config --modversion differ'

if "$PREFIX/bin/udm" prewarm --arch sm_90,sm_86 >"$WORK/cold" 2>&1; then
  touch "$WORK/warm"
else
  echo "no kernel here, so the programs will not run: $(cat "$WORK/cold")"
fi
