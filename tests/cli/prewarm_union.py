#!/usr/bin/env python3
"""udm prewarm --arch all over several NVRTCs: the newest that knows an architecture compiles it.

Two fakes are laid out as a toolkit and as a wheel. They know all that the real NVRTCs of today
know, so that one that this machine has besides is found but has nothing to do.

    prewarm_union.py UDM FAKE_NVRTC

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile


TODAY = "52,61,70,72,75,80,86,87,88,89,90,100,101,103,110,120,121"


def install(library, folder, name, version, archs):
    """A copy of the fake that says it is this version."""
    os.makedirs(folder)
    shutil.copy(library, os.path.join(folder, name))
    for file, text in (("version", version), ("archs", archs)):
        with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
            out.write(text + "\n")


def run(udm, env, *arguments):
    answer = subprocess.run([udm, *arguments, "--json"], env=env, stdout=subprocess.PIPE,
                            check=False, timeout=240)
    return answer.returncode, json.loads(answer.stdout)


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, want {want}")


def check_union(udm, env, tmp):
    code, first = run(udm, env, "prewarm", "--arch", "all")
    check("exit code", code, 0)
    check("failed", first["failed"], [])
    by = {entry["arch"]: entry["nvrtc"] for entry in first["compiled"]}
    check("below sm_70", [arch for arch in by if int(arch[3:]) < 70], [])
    check("order", list(by), sorted(by, key=lambda arch: int(arch[3:])))
    for arch, version in (("sm_72", "98.1"), ("sm_80", "98.1"), ("sm_90", "99.0"),
                          ("sm_250", "99.0")):
        check(arch, by.get(arch), version)
    versions = [nvrtc["version"] for nvrtc in first["nvrtcs"]]
    check("both are listed", {"98.1", "99.0"} <= set(versions), True)
    check("nothing twice", len(versions),
          len({nvrtc["path"] for nvrtc in first["nvrtcs"]}))
    code, second = run(udm, env, "prewarm", "--arch", "all")
    check("compiled again", second["compiled"], [])
    check("cached", {entry["arch"]: entry["nvrtc"] for entry in second["cached"]}, by)
    check("entries", len(os.listdir(os.path.join(tmp, "cache"))) >= len(by), True)


def check_candidates(udm, env, broken):
    _, doctor = run(udm, env, "doctor")
    found = {entry["library"]: entry for entry in doctor["nvrtc_candidates"]}
    check("the broken one", found[broken]["usable"], False)
    check("its reason", "file too short" in found[broken]["reason"], True)
    usable = [entry["version"] for entry in doctor["nvrtc_candidates"] if entry["usable"]]
    check("order of the search", usable.index("98.1") < usable.index("99.0"), True)
    check("the first one serves", doctor["nvrtc"]["version"], usable[0])


def main():
    udm, fake_cuda = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="udm-union-") as tmp:
        toolkit = os.path.join(tmp, "toolkit", "lib64")
        wheel = os.path.join(tmp, "venv/lib/python3.11/site-packages/nvidia/cu13/lib")
        install(fake_cuda, toolkit, "libnvrtc.so.12", "98.1", TODAY)
        install(fake_cuda, wheel, "libnvrtc.so.13", "99.0", "90,250")
        os.symlink("libnvrtc.so.12", os.path.join(toolkit, "libnvrtc.so"))  # is no other one
        broken = os.path.join(toolkit, "libnvrtc.so.13")
        with open(broken, "w", encoding="utf-8"):
            pass
        env = {key: value for key, value in os.environ.items() if not key.startswith("UDM_")}
        env.update({"CUDA_HOME": os.path.join(tmp, "toolkit"),
                    "VIRTUAL_ENV": os.path.join(tmp, "venv"),
                    "UDM_CACHE_DIR": os.path.join(tmp, "cache"),
                    "UDM_DRIVER_LIBRARY": "/nonexistent/libcuda.so.1"})
        check_union(udm, env, tmp)
        check_candidates(udm, env, broken)


main()
