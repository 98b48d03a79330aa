# steps.sh: steps that the scripts of this folder share. Sourced; the tests set WORK, PREFIX and SOURCE.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
: "${WORK:?}" "${PREFIX:?}" "${SOURCE:?}"

skip() {
  echo "skipped: $1"
  exit 77
}

fail() {
  echo "failed: $1"
  exit 1
}

require_path_without_spaces() {
  [[ $WORK != *[[:space:]]* ]] || skip "make, and shells that are given pkg-config's output, split $WORK"
}

# quietly COMMAND...: shows its output only if it fails.
quietly() {
  local log=$WORK/log.$$
  "$@" >"$log" 2>&1 || {
    cat "$log"
    fail "$*"
  }
}

# Without a cubin nothing can be launched.
require_warm_cache() {
  [[ -f $WORK/warm ]] || skip "built, but not run: $(cat "$WORK/cold" 2>/dev/null)"
}

# The folder for what this test makes, empty.
fresh_folder() {
  rm -rf "${WORK:?}/$1"
  mkdir -p "$WORK/$1"
  echo "$WORK/$1"
}
