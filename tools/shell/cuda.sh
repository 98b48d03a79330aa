# What a machine has of CUDA: where cuda.h and nvrtc.h are, and NVRTC from the pinned wheels of
# dependencies/cuda-wheels.txt where no toolkit brings it. Sourced by tools/quickstart, tools/check
# and tests/declarations.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}"

cuda_wheels=$root/dependencies/cuda-wheels.txt

# cuda_include_dir HEADER: prints the folder that holds it, fails where none does. The order is
# the one in which the library looks for NVRTC.
cuda_include_dir() {
  local folder
  for folder in ${CUDA_HOME:+"$CUDA_HOME/include"} ${CUDA_PATH:+"$CUDA_PATH/include"} \
    /usr/local/cuda/include /usr/local/cuda-*/include /usr/include \
    ${VIRTUAL_ENV:+"$VIRTUAL_ENV"/lib/python3*/site-packages/nvidia/*/include}; do
    if [[ -f $folder/$1 ]]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

cuda_headers_are_there() {
  cuda_include_dir cuda.h >/dev/null && cuda_include_dir nvrtc.h >/dev/null
}

# doctor_json UDM: what the library that UDM was built with sees, in one line. The command's exit
# status speaks of GPUs, which is not what is asked here.
doctor_json() { { "$1" doctor --json 2>/dev/null || true; } | tr -d "\n"; }

# nvrtc_path UDM: where it finds NVRTC; fails where it finds none.
nvrtc_path() {
  doctor_json "$1" | sed -nE 's/.*"nvrtc": *\{([^{}]*)\}.*/\1/p' |
    sed -nE 's/.*"path": *"([^"]+)".*/\1/p' | grep .
}

# has_gpu UDM: whether it sees a device.
has_gpu() { doctor_json "$1" | grep -qE '"devices": *\[ *\{'; }

# use_cuda_wheels VENV: makes this process, and what it starts, see a virtual environment.
use_cuda_wheels() { export VIRTUAL_ENV=$1; }

have_cuda_wheels() { cmp -s "$cuda_wheels" "$1/cuda-wheels.txt"; }

# install_cuda_wheels VENV: fails, with the reason in the log nvrtc, where pip cannot get them.
install_cuda_wheels() {
  local venv=$1
  have_cuda_wheels "$venv" && return
  say 'getting NVRTC from the pinned Python wheel (90 MB)'
  new_log nvrtc
  rm -rf "$venv"
  logged nvrtc python3 -m venv "$venv" || return
  logged nvrtc "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes -r "$cuda_wheels" || return
  cp "$cuda_wheels" "$venv/cuda-wheels.txt" # last: says that the rest is whole
}
