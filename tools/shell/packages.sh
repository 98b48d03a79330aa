# The Debian packages of dependencies/debian.txt: which ones this machine lacks, and how they are
# installed, or asks for them if this script may not. Sourced by tools/quickstart and tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}" "${assume_yes:=}"

debian_packages=$root/dependencies/debian.txt

# Whether there is a person to ask (looked at here: inside $(...) stdout is a pipe).
interactive=
[[ -t 0 && -t 1 ]] && interactive=1

version_at_least() { # FOUND WANTED
  [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

# is_present KIND NAME [OLDEST]: the third column of the list.
is_present() {
  local found
  case $1 in
    command)
      command -v "$2" >/dev/null || return 1
      [[ -n ${3:-} ]] || return 0
      found=$("$2" --version 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1)
      version_at_least "${found:-0}" "$3"
      ;;
    header) echo "#include <$2>" | cc -E -x c - >/dev/null 2>&1 ;;
    clang-header) echo "#include <$2>" | clang -E -x c - >/dev/null 2>&1 ;;
    pkg-config) pkg-config --exists "$2" 2>/dev/null ;;
    python-module) python3 -c "import $2" >/dev/null 2>&1 ;;
    *) fail "$debian_packages: unknown kind '$1'" ;;
  esac
}

# missing_packages STAGE...: one package per line.
missing_packages() {
  local wanted=" $* " stage package present
  while read -r stage package present; do
    [[ -n $stage && $stage != '#'* && $wanted == *" $stage "* ]] || continue
    # shellcheck disable=SC2086 # the words of the third column are the arguments
    is_present $present || echo "$package"
  done <"$debian_packages"
}

# How this user runs apt-get: prints the words to put before it; fails if it cannot.
root_prefix() {
  if [[ $EUID -eq 0 ]]; then
    return 0
  elif ! command -v sudo >/dev/null; then
    return 1
  elif sudo -n true 2>/dev/null; then
    echo 'sudo -n'
  elif [[ -n $interactive ]]; then
    echo 'sudo' # it will ask for the password
  else
    return 1
  fi
}

may_install() { # PACKAGE...
  [[ -n $assume_yes || ${CI:-} == true ]] && return 0
  [[ -n $interactive ]] || return 1
  local answer
  read -r -p "      Install with apt-get: $*? [y/N] " answer
  [[ $answer == [yY] || $answer == [yY][eE][sS] ]]
}

ask_for_packages() { # PACKAGE...
  local command
  command -v apt-get >/dev/null ||
    fail "missing: $*" "these are Debian's names; install them with this system's package manager"
  command="apt-get install -y --no-install-recommends $*"
  if [[ $EUID -eq 0 ]]; then
    command="apt-get update && $command"
  elif command -v sudo >/dev/null; then
    command="sudo apt-get update && sudo $command"
  else
    command="su -c 'apt-get update && $command'"
  fi
  fail "missing: $*" 'type this:' "  $command" \
    "then run $(basename "$0") again (where it may install by itself, --yes lets it)"
}

# install_packages STAGE...: returns when everything of these stages is there.
install_packages() {
  local missing prefix
  mapfile -t missing < <(missing_packages "$@")
  if [[ ${#missing[@]} -eq 0 ]]; then
    say 'everything is there'
    return
  fi
  command -v apt-get >/dev/null || ask_for_packages "${missing[@]}"
  prefix=$(root_prefix) || ask_for_packages "${missing[@]}"
  may_install "${missing[@]}" || ask_for_packages "${missing[@]}"

  say "installing ${missing[*]}"
  new_log packages
  # shellcheck disable=SC2086 # the prefix is none, one or two words
  {
    [[ $prefix != sudo ]] || sudo true || fail 'sudo said no'
    # An index that cannot be refreshed may still do: let the installation tell.
    logged packages $prefix apt-get update || say 'apt-get update failed: going on with the old index'
    must 'apt-get install' packages $prefix env DEBIAN_FRONTEND=noninteractive apt-get \
      -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${missing[@]}"
  }
  hash -r
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -eq 0 ]] || fail "installed, but too old or still not usable: ${missing[*]}" \
    "what is needed: $debian_packages"
}
