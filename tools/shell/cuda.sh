# Finds what a machine has of CUDA: cuda.h and nvrtc.h, NVRTC (from the pinned wheels of
# dependencies/cuda-wheels.txt if no toolkit brings it), and the other versions of NVRTC that the
# tests and ptx/generate need. Sourced by tools/quickstart, tools/check, ptx/generate and
# tests/declarations.
#
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck source=steps.sh
: "${root:?}"

cuda_wheels=$root/dependencies/cuda-wheels.txt

# cuda_include_dir HEADER: prints the folder that holds it; fails if none does. Searches in the order
# in which the library searches for NVRTC.
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

# doctor_json UDM: prints the JSON of 'udm doctor' on one line. Ignores the exit status, which is about
# GPUs.
doctor_json() { { "$1" doctor --json 2>/dev/null || true; } | tr -d "\n"; }

# nvrtc_path UDM: prints the path of the NVRTC that UDM finds; fails if it finds none.
nvrtc_path() {
  doctor_json "$1" | sed -nE 's/.*"nvrtc": *\{([^{}]*)\}.*/\1/p' |
    sed -nE 's/.*"path": *"([^"]+)".*/\1/p' | grep .
}

# has_gpu UDM: succeeds if UDM sees a device.
has_gpu() { doctor_json "$1" | grep -qE '"devices": *\[ *\{'; }

# use_cuda_wheels VENV: lets this process and its children see a virtual environment.
use_cuda_wheels() { export VIRTUAL_ENV=$1; }

have_cuda_wheels() { cmp -s "$cuda_wheels" "$1/cuda-wheels.txt"; }

# install_cuda_wheels VENV: fails, with the reason in the log nvrtc, if pip cannot fetch them.
install_cuda_wheels() {
  local venv=$1
  have_cuda_wheels "$venv" && return
  say 'getting NVRTC from the pinned Python wheel (90 MB)'
  new_log nvrtc
  rm -rf "$venv"
  logged nvrtc python3 -m venv "$venv" || return
  logged nvrtc "$venv/bin/python" -m pip install --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes -r "$cuda_wheels" || return
  cp "$cuda_wheels" "$venv/cuda-wheels.txt" # last, as the mark of a complete install
}

# Succeeds if a toolkit of this machine can show a cubin's instructions.
have_disassembler() {
  local folder
  command -v nvdisasm >/dev/null || command -v cuobjdump >/dev/null && return
  for folder in ${CUDA_HOME:+"$CUDA_HOME/bin"} ${CUDA_PATH:+"$CUDA_PATH/bin"} /usr/local/cuda*/bin; do
    [[ -x $folder/nvdisasm || -x $folder/cuobjdump ]] && return
  done
  return 1
}

# wheel_programs_dir VENV: prints the folder with the programs of the pinned wheels.
wheel_programs_dir() {
  find "$1" -path '*/site-packages/nvidia/*' -name nvdisasm -printf '%h\n' | head -n 1
}

# The versions of NVRTC besides the one of cuda-wheels.txt. dependencies/nvrtc-VERSION.txt pins each,
# and each has a folder of its own, because the wheels would overwrite each other's files.
# shellcheck disable=SC2034 # the scripts that source this file use it
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
  cp "$list" "$folder/$2/list.txt" # last, as the mark of a complete install
}
