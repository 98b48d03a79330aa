# Installs the pinned Python packages that the tests of python/ need into a virtual environment.
# Sourced by tools/check.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}" "${log_dir?}"

python_packages=$root/dependencies/python.txt
sglang_package=$root/dependencies/sglang.txt

# install_python_packages VENV: fails, with the reason in the log python, if pip cannot fetch them.
install_python_packages() {
  local venv=$1
  cat "$python_packages" "$sglang_package" | cmp -s - "$venv/installed.txt" &&
    "$venv/bin/python" -c '' 2>/dev/null && return
  say 'getting the pinned Python packages of the tests (90 MB)'
  new_log python
  rm -rf "$venv"
  logged python python3 -m venv "$venv" || return
  logged python "$venv/bin/python" -m pip install --disable-pip-version-check \
    --only-binary :all: -r "$python_packages" || return
  # Some platforms have no wheel of it: its tests are skipped there.
  logged python "$venv/bin/python" -m pip install --disable-pip-version-check \
    --only-binary :all: --no-deps -r "$sglang_package" ||
    say "pip could not fetch SGLang ($log_dir/python.log): its tests will be skipped"
  # Last, as the mark of a complete install.
  cat "$python_packages" "$sglang_package" >"$venv/installed.txt"
}
