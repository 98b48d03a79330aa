# What a machine has of CUDA: where cuda.h and nvrtc.h are, NVRTC from the pinned wheels of
# dependencies/cuda-wheels.txt if no toolkit brings it, and the other versions of NVRTC that the
# tests and ptx/generate want. Sourced by tools/quickstart, tools/check, ptx/generate and
# tests/declarations.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}"

cuda_wheels=$root/dependencies/cuda-wheels.txt

# cuda_include_dir HEADER: prints the folder that holds it, fails if none does. The order is
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

# nvrtc_path UDM: where it finds NVRTC; fails if it finds none.
nvrtc_path() {
  doctor_json "$1" | sed -nE 's/.*"nvrtc": *\{([^{}]*)\}.*/\1/p' |
    sed -nE 's/.*"path": *"([^"]+)".*/\1/p' | grep .
}

# has_gpu UDM: whether it sees a device.
has_gpu() { doctor_json "$1" | grep -qE '"devices": *\[ *\{'; }

# use_cuda_wheels VENV: makes this process, and what it starts, see a virtual environment.
use_cuda_wheels() { export VIRTUAL_ENV=$1; }

have_cuda_wheels() { cmp -s "$cuda_wheels" "$1/cuda-wheels.txt"; }

# install_cuda_wheels VENV: fails, with the reason in the log nvrtc, if pip cannot get them.
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

# Whether a toolkit of this machine can show a cubin's instructions.
have_disassembler() {
  local folder
  command -v nvdisasm >/dev/null || command -v cuobjdump >/dev/null && return
  for folder in ${CUDA_HOME:+"$CUDA_HOME/bin"} ${CUDA_PATH:+"$CUDA_PATH/bin"} /usr/local/cuda*/bin; do
    [[ -x $folder/nvdisasm || -x $folder/cuobjdump ]] && return
  done
  return 1
}

# wheel_programs_dir VENV: where the pinned wheels have their programs.
wheel_programs_dir() {
  find "$1" -path '*/site-packages/nvidia/*' -name nvdisasm -printf '%h\n' | head -n 1
}

# The versions of NVRTC beside that of cuda-wheels.txt, each pinned in dependencies/nvrtc-VERSION.txt
# and kept in a folder of its own: their wheels would overwrite each other's files.
# shellcheck disable=SC2034 # of those who source this file
nvrtc_wheel_versions=(11.8 12.9)

# nvrtc_wheel_library FOLDER VERSION: prints the path of the library, fails if it is incomplete.
nvrtc_wheel_library() {
  cmp -s "$root/dependencies/nvrtc-$2.txt" "$1/$2/list.txt" || return
  find "$1/$2" -name 'libnvrtc.so.*' | grep .
}

# install_nvrtc_wheel FOLDER VERSION: fails, with the reason in the log nvrtc-VERSION.
install_nvrtc_wheel() {
  local folder=$1 list=$root/dependencies/nvrtc-$2.txt log=nvrtc-$2
  nvrtc_wheel_library "$1" "$2" >/dev/null && return
  say "getting NVRTC $2 from the pinned Python wheel"
  new_log "$log"
  rm -rf "${folder:?}/$2"
  [[ -x $folder/pip/bin/python ]] || logged "$log" python3 -m venv "$folder/pip" || return
  logged "$log" "$folder/pip/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes --target "$folder/$2" -r "$list" || return
  cp "$list" "$folder/$2/list.txt" # last: says that the rest is whole
}
