#!/usr/bin/env bash
# Ranks of an MPI launcher, one per device, start together with a cold cache: one compile per
# architecture, however many ranks there are.
#
# SPDX-License-Identifier: Apache-2.0
set -uo pipefail
# shellcheck source=steps.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/steps.sh"

command -v mpirun >/dev/null || skip 'no mpirun here (Debian: openmpi-bin)'
require_path_without_spaces
require_warm_cache # whether NVRTC is here
folder=$(fresh_folder ranks) || exit 1
quietly make -C "$SOURCE/examples/multi_gpu" OUT="$folder"

export UDM_FAKE_CUDA_DEVICES=9.0,9.0,8.6,9.0
export UDM_CACHE_DIR=$folder/cold-cache
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
mpirun -n 4 "$folder/multi_gpu" >"$folder/output" 2>&1 || {
  cat "$folder/output"
  fail 'mpirun'
}
cat "$folder/output"
[[ $(grep -c 'right$' "$folder/output") -eq 4 ]] || fail 'not every rank has the right result'
[[ $(grep -c '^device 2: sm_86' "$folder/output") -eq 1 ]] || fail 'device 2 has no rank of its own'
compiles=$(awk '$1 == "compiles" { sum += $2 } END { print sum }' "$folder/output")
[[ $compiles -eq 2 ]] || fail "$compiles compiles for two architectures"
