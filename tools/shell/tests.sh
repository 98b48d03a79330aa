# Runs the tests of a build folder. Prints which tests were skipped, and why, then ctest's closing
# lines. Sourced by tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${bold=}" "${plain=}"

# skipped_tests BUILD_DIR CLOSING_LINES: prints each test that ctest skipped, with the test's own
# reason, and each case that a cmocka program skipped.
skipped_tests() {
  awk -v skipped="$(sed -nE 's/^\t *[0-9]+ - (.*) \(Skipped\)$/\1/p' "$2")" '
    BEGIN {
      count = split(skipped, names, "\n")
      for (i = 1; i <= count; i++) is_skipped[names[i]] = 1
    }
    /^[0-9]+\/[0-9]+ Testing: / { name = $0; sub(/^[^:]*: /, "", name); has_reason = 0; last = "" }
    /^Output:$/ { inside = 1; next }
    /^<end of output>$/ {
      inside = 0
      if (is_skipped[name] && !has_reason) print name ": " (last == "" ? "gave no reason" : last)
    }
    !inside || /^-*$/ { next }
    is_skipped[name] && tolower($0) ~ /skip/ && !/^\[/ { print name ": " $0; has_reason = 1 }
    !is_skipped[name] && /^\[  SKIPPED \] [A-Za-z_]/ { print name ": " $4 " (one case of it)" }
    { last = $0 }
  ' "$1/Testing/Temporary/LastTest.log"
}

# run_tests BUILD_DIR CTEST_ARGUMENT...
run_tests() {
  local dir=$1 status closing skipped
  shift
  closing=$dir/ctest-closing.txt
  : >"$closing"
  ctest --test-dir "$dir" --output-on-failure --no-tests=error --timeout 600 \
    --parallel "$(nproc)" "$@" </dev/null 2>&1 |
    awk -v closing="$closing" '/% tests passed, / { held = 1 }
      { if (held) print >closing; else { print; fflush() } }'
  status=${PIPESTATUS[0]}
  skipped=$(skipped_tests "$dir" "$closing" | sort -u)
  if [[ -n $skipped ]]; then
    printf '\n%sSkipped on this machine%s\n' "$bold" "$plain"
    printf '%s\n' "$skipped" | sed 's/^/  /'
  fi
  [[ $status -eq 0 ]] || printf '\nthe output of every test: %s\n' \
    "$dir/Testing/Temporary/LastTest.log" >&2
  echo
  cat "$closing"
  return "$status"
}
