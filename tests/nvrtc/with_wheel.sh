#!/usr/bin/env bash
# Runs a program with the NVRTC of a pinned wheel: with_wheel.sh WHEELS_DIR VERSION PROGRAM...
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail

wheels=$1 version=$2
shift 2
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P) || exit
# shellcheck source=../../tools/shell/cuda.sh
source "$root/tools/shell/cuda.sh"

UDM_NVRTC_LIBRARY=$(nvrtc_wheel_library "$wheels" "$version") || {
  echo "skipped: $wheels does not hold the wheel of NVRTC $version, which tools/check fetches"
  exit 77
}
export UDM_NVRTC_LIBRARY
exec "$@"
