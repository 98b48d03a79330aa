#!/usr/bin/env python3
"""Compiles a CUDA source to PTX with one NVRTC library and prints the PTX.

    compile_to_ptx.py LIBNVRTC SOURCE TARGET OPTION...

The library's own options for the kernel are in runtime/image/kernel_key.h; ptx/generate passes them.

SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import glob
import os
import sys


def open_nvrtc(path):
    """A compile opens libnvrtc-builtins by its bare name: it has to be there already."""
    for builtins in glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so.*")):
        ctypes.CDLL(builtins)
    return ctypes.CDLL(path)


def text_of(nvrtc, program, name):
    size = ctypes.c_size_t()
    if getattr(nvrtc, f"nvrtcGet{name}Size")(program, ctypes.byref(size)) != 0:
        sys.exit(f"nvrtcGet{name}Size failed")
    buffer = ctypes.create_string_buffer(size.value)
    if getattr(nvrtc, f"nvrtcGet{name}")(program, buffer) != 0:
        sys.exit(f"nvrtcGet{name} failed")
    return buffer.value.decode()


def main():
    library, source, target, *options = sys.argv[1:]
    nvrtc = open_nvrtc(library)
    with open(source, "rb") as file:
        text = file.read()
    program = ctypes.c_void_p()
    name = os.path.basename(source).encode()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, name, 0, None, None) != 0:
        sys.exit("nvrtcCreateProgram failed")
    options = [f"--gpu-architecture={target}".encode()] + [option.encode() for option in options]
    array = (ctypes.c_char_p * len(options))(*options)
    if nvrtc.nvrtcCompileProgram(program, len(options), array) != 0:
        sys.exit(text_of(nvrtc, program, "ProgramLog"))
    lines = (line.strip() for line in text_of(nvrtc, program, "PTX").splitlines())
    print(*(line for line in lines if line and not line.startswith("//")), sep="\n")


main()
