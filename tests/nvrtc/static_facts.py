#!/usr/bin/env python3
"""Facts of the compiled kernel that no machine can change: registers, local memory, size, and, where
nvdisasm or cuobjdump is found, the width of its loads and stores and the length of its copy.

A change of the kernel that costs speed shows here first, on a machine without a GPU. Nothing is timed.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys

SKIPPED = 77
ARCHS = ["sm_80", "sm_90", "sm_100", "sm_120"]

# Three blocks of 256 threads fit on a multiprocessor of 65536 registers.
MOST_REGISTERS = 80
MOST_FRAME = 0  # bytes of local memory of a thread: nothing is spilled
MOST_INSTRUCTIONS = {
    "udm_decode_metadata_direct": 2400,
    "udm_decode_metadata_general": 3700,
}
ENTRIES = list(MOST_INSTRUCTIONS)
# A warp copies up to 4 vectors per lane at a time, all loads before the first store, at one place.
# The direct kernel stores to three tables in a row, the general kernel to one after the other.
COPIED_VECTORS = [4]
TABLES = {"udm_decode_metadata_direct": 3, "udm_decode_metadata_general": 1}
# From the first load of 4 vectors to the last, from the first of their stores to the last, and from
# that load to that store: the ints behind the last whole vector and the first pages lie between.
MOST_LOAD_INSTRUCTIONS = 12
MOST_STORE_INSTRUCTIONS = 64
MOST_COPY_INSTRUCTIONS = {
    "udm_decode_metadata_direct": 110,
    "udm_decode_metadata_general": 130,
}

# Attributes of a cubin's .nv.info section.
FORMAT_SIZED, ATTRIBUTE_FRAME_SIZE, ATTRIBUTE_REGISTERS = 4, 0x11, 0x2F


class Cubin:
    """The sections and symbols of an ELF64 file of a GPU, as far as the facts need them."""

    def __init__(self, data):
        self.data = data
        offset = struct.unpack_from("<Q", data, 40)[0]
        size, count, names = struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
        self.sections = {self.text(headers[names][4] + h[0]): h for h in headers}

    def text(self, at):
        return self.data[at : self.data.index(b"\0", at)].decode()

    def content(self, name):
        header = self.sections[name]
        return self.data[header[4] : header[4] + header[5]]

    def symbol(self, index):
        name = struct.unpack_from("<I", self.content(".symtab"), index * 24)[0]
        return self.text(self.sections[".strtab"][4] + name)

    def attributes(self, wanted):
        """The value of an attribute that .nv.info has for each function."""
        info, at, found = self.content(".nv.info"), 0, {}
        while at + 4 <= len(info):
            layout, attribute, size = struct.unpack_from("<BBH", info, at)
            if layout != FORMAT_SIZED:
                at += 4
                continue
            if attribute == wanted:
                index, value = struct.unpack_from("<II", info, at + 4)
                found[self.symbol(index)] = value
            at += 4 + size
        return found

    def instructions(self, function):
        return self.sections[".text." + function][5] // 16


def find_disassembler():
    folders = [os.path.join(os.environ[v], "bin") for v in ("CUDA_HOME", "CUDA_PATH") if v in os.environ]
    folders += sorted(glob.glob("/usr/local/cuda*/bin"))
    if "VIRTUAL_ENV" in os.environ:
        wheels = os.path.join(os.environ["VIRTUAL_ENV"], "lib/python3*/site-packages/nvidia/*/bin")
        folders += sorted(glob.glob(wheels))
    path = os.pathsep.join([os.environ.get("PATH", "")] + folders)
    for name, arguments in (("nvdisasm", ["-c"]), ("cuobjdump", ["--dump-sass"])):
        program = shutil.which(name, path=path)
        if program:
            return [program] + arguments
    return None


def disassemble(command, path):
    """The opcodes of each kernel, in order."""
    text = subprocess.run(command + [path], stdout=subprocess.PIPE, check=True).stdout.decode()
    opcodes, current = {}, None
    for line in text.splitlines():
        entry = re.match(r"\s*(?:\.section\s+\.text\.(\w+)|Function : (\w+))", line)
        if entry:
            current = opcodes.setdefault(entry.group(1) or entry.group(2), [])
        instruction = re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", line)
        if instruction and current is not None:
            current.append(instruction.group(1))
    return opcodes


class Facts:
    def __init__(self):
        self.failures = 0

    def check(self, where, what, value, good):
        print(f"{'ok  ' if good else 'FAIL'} {where}: {what}: {value}")
        self.failures += not good

    def of_the_file(self, arch, cubin):
        registers = cubin.attributes(ATTRIBUTE_REGISTERS)
        frames = cubin.attributes(ATTRIBUTE_FRAME_SIZE)
        for entry in ENTRIES:
            where = f"{arch} {entry}"
            value = registers.get(entry)
            self.check(where, "registers", value, value is not None and 0 < value <= MOST_REGISTERS)
            value = frames.get(entry)
            self.check(where, "bytes of local memory", value, value is not None and value <= MOST_FRAME)
            value = cubin.instructions(entry)
            self.check(where, "instructions", value, 0 < value <= MOST_INSTRUCTIONS[entry])

    def of_the_code(self, arch, opcodes):
        for entry in ENTRIES:
            where = f"{arch} {entry}"
            code = opcodes.get(entry, [])
            copies = vector_copies(code)
            counts = sorted((len(loads), len(stores)) for loads, stores in copies)
            wanted = [(n, n * TABLES[entry]) for n in COPIED_VECTORS]
            self.check(where, "loads and stores of 16 bytes, a copy", counts, counts == wanted)
            if counts != wanted:
                continue
            for loads, stores in copies:
                if len(loads) == max(COPIED_VECTORS):
                    self.of_the_copy(where, entry, loads, stores)
            local = [o for o in code if o.startswith(("LDL", "STL"))]
            self.check(where, "accesses of local memory", len(local), not local)

    def of_the_copy(self, where, entry, loads, stores):
        for what, first, last, most in (
            ("from load to load", loads[0], loads[-1], MOST_LOAD_INSTRUCTIONS),
            ("from store to store", stores[0], stores[-1], MOST_STORE_INSTRUCTIONS),
            ("of the copy", loads[0], stores[-1], MOST_COPY_INSTRUCTIONS[entry]),
        ):
            self.check(where, f"instructions {what}", last - first + 1, last - first + 1 <= most)


def vector_copies(code):
    """Where the 16-byte loads and stores of each copy are: loads, then the stores that follow."""
    copies = []
    for i, opcode in enumerate(code):
        if re.match(r"LDG\b.*\b128\b", opcode):
            if not copies or copies[-1][1]:
                copies.append(([], []))
            copies[-1][0].append(i)
        elif re.match(r"STG?\b.*\b128\b", opcode):
            if not copies:
                copies.append(([], []))
            copies[-1][1].append(i)
    return copies


def prewarm(udm, cache, arch):
    """The path of the cubin; None, with the reason, if this NVRTC cannot make it."""
    run = subprocess.run([udm, "prewarm", "--arch", arch, "--cache-dir", cache, "--json"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if run.returncode != 0:
        return None, run.stderr.decode().strip()
    listed = subprocess.run([udm, "cache", "list", "--cache-dir", cache, "--json"],
                            stdout=subprocess.PIPE, check=True).stdout
    for entry in json.loads(listed)["entries"]:
        if entry["arch"] == arch:
            return entry["path"], ""
    return None, f"no entry for {arch}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--udm", required=True)
    parser.add_argument("--cache-dir", required=True,
                        help="--facts file empties it and compiles there, --facts code uses that")
    parser.add_argument("--facts", choices=("file", "code"), required=True)
    arguments = parser.parse_args()
    facts, seen, disassembler = Facts(), 0, find_disassembler()
    if arguments.facts == "code" and not disassembler:
        print("skipped: neither nvdisasm nor cuobjdump was found")
        return SKIPPED
    if arguments.facts == "file":
        shutil.rmtree(arguments.cache_dir, ignore_errors=True)
    for arch in ARCHS:
        path, reason = prewarm(arguments.udm, arguments.cache_dir, arch)
        if not path:
            print(f"skipped: {arch}: {reason}")
            continue
        seen += 1
        if arguments.facts == "code":
            facts.of_the_code(arch, disassemble(disassembler, path))
            continue
        with open(path, "rb") as file:
            facts.of_the_file(arch, Cubin(file.read()))
    if facts.failures:
        return 1
    return 0 if seen else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
