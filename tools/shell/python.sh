# The pinned Python packages that the tests of python/ need, in a virtual environment of their own.
# Sourced by tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}"

python_packages=$root/dependencies/python.txt

# install_python_packages VENV: fails, with the reason in the log python, if pip cannot get them.
install_python_packages() {
  local venv=$1
  cmp -s "$python_packages" "$venv/python.txt" && "$venv/bin/python" -c '' 2>/dev/null && return
  say 'getting the pinned Python packages of the tests (50 MB)'
  new_log python
  rm -rf "$venv"
  logged python python3 -m venv "$venv" || return
  logged python "$venv/bin/python" -m pip install --disable-pip-version-check \
    --only-binary :all: -r "$python_packages" || return
  cp "$python_packages" "$venv/python.txt" # last: says that the rest is whole
}
