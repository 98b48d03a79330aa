# Steps of a script: numbered headings, the time each takes, sub-steps that are quiet unless they
# fail, and a log file that is named when they do. Sourced by tools/quickstart and tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

steps_total=0
step_number=0
step_started=0
log_dir=

# Colours on a terminal only, and not with NO_COLOR.
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
else
  bold='' dim='' red='' plain=''
fi

# steps_begin COUNT LOG_DIR
steps_begin() {
  steps_total=$1 log_dir=$2
  mkdir -p "$log_dir" || exit 1
}

now_ms() {
  local microseconds=${EPOCHREALTIME/[.,]/}
  echo "${microseconds%???}"
}

# seconds_since MS: "3.4 s"
seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

step_begin() {
  step_number=$((step_number + 1))
  step_started=$(now_ms)
  printf '\n%s[%d/%d] %s%s\n' "$bold" "$step_number" "$steps_total" "$1" "$plain"
}

step_end() { printf '      %s(%s)%s\n' "$dim" "$(seconds_since "$step_started")" "$plain"; }

say() { printf '      %s\n' "$*"; }

# fail MESSAGE [WHAT_TO_DO]...: ends the script.
fail() {
  {
    printf '\n%s%s: %s%s\n' "$red" "$(basename "$0")" "$1" "$plain"
    shift
    [[ $# -eq 0 ]] || printf '    %s\n' "$@"
  } >&2
  exit 1
}

# logged NAME COMMAND...: runs it, its output in the log NAME; returns its exit status.
logged() {
  local log=$log_dir/$1.log
  shift
  {
    printf '$'
    printf ' %q' "$@"
    printf '\n'
  } >>"$log"
  "$@" >>"$log" 2>&1 </dev/null
}

new_log() { : >"$log_dir/$1.log"; }

# must WHAT NAME COMMAND...: as logged, but a failure shows the log's end and ends the script.
must() {
  local what=$1 name=$2
  shift 2
  logged "$name" "$@" && return
  {
    echo
    tail -n 25 "$log_dir/$name.log"
  } >&2
  fail "$what failed" "the whole output: $log_dir/$name.log"
}
