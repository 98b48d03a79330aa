#!/usr/bin/env python3
"""A fleet of several driver generations: udm doctor's exit status is what udm_create() does there.

Every driver from CUDA 11.8 to 13.1, in every mode, over caches that were filled by NVRTC of three
majors, by a driver from the shipped PTX, or not at all. Then the advice of a node that fails the
gate is followed to the letter, and the node passes.

    fleet.py UDM CREATE FAKE_CUDA FAKE_NVRTC [WHEELS]

CREATE is tests/cache/cache_process. With WHEELS, the folder of the pinned wheels of NVRTC 11.8 and
12.9, these and the machine's own NVRTC, of CUDA 13, fill the cache of a fleet in place of the fakes.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

DRIVERS = ("11080", "12000", "12080", "12090", "13000", "13010")
MODES = ("0", "1", "strict")
ARCHS = "70,75,80,86,89,90"
UDM, CREATE, FAKE_CUDA, FAKE_NVRTC, *WHEELS = sys.argv[1:]


def check(what, holds, text=""):
    if not holds:
        sys.exit(f"{what}\n{text}")


class Node:
    """Runs udm beside one driver, with NVRTCs of these versions, in this mode."""

    def __init__(self, tmp, driver, nvrtcs=(), mode="0", cache="cache"):
        self.env = {key: value for key, value in os.environ.items()
                    if not key.startswith(("UDM_", "XDG_", "CUDA_", "VIRTUAL_", "CONDA_"))}
        self.env.update({"UDM_DRIVER_LIBRARY": FAKE_CUDA, "UDM_FAKE_CUDA_VERSION": driver,
                         "UDM_CACHE_DIR": os.path.join(tmp, cache), "UDM_NO_COMPILE": mode})
        if len(nvrtcs) == 1:
            self.env.update({"UDM_NVRTC_LIBRARY": FAKE_NVRTC, "UDM_FAKE_NVRTC_VERSION": nvrtcs[0],
                             "UDM_FAKE_NVRTC_ARCHS": ARCHS})
        elif nvrtcs:
            # before the machine's own
            self.env["LD_LIBRARY_PATH"] = ":".join(os.path.join(tmp, version, "lib64")
                                                   for version in nvrtcs)
        else:
            self.env["UDM_NVRTC_LIBRARY"] = "/nonexistent/libnvrtc.so"

    def run(self, *command):
        result = subprocess.run(command, env=self.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, check=False, timeout=120)
        return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")

    def udm(self, *arguments):
        return self.run(UDM, *arguments)

    def creates(self):
        """What udm_create() returns, from a process that is no part of the command."""
        _, text = self.run(CREATE, "create")
        return re.search(r"^status=0 ", text) is not None


def install(tmp, version):
    folder = os.path.join(tmp, version, "lib64")
    os.makedirs(folder)
    shutil.copy(FAKE_NVRTC, os.path.join(folder, "libnvrtc.so." + version.split(".", maxsplit=1)[0]))
    for name, text in (("version", version), ("archs", ARCHS)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text + "\n")


def fill(tmp, made_by):
    """A cache that one maker has filled: an NVRTC, or a driver from the shipped PTX."""
    cache = "made-by-" + made_by
    if made_by == "shipped":
        check("filling", Node(tmp, "12000", mode="1", cache=cache).creates())
    elif made_by != "nobody":
        code, text = Node(tmp, "13010", [made_by], cache=cache).udm("prewarm", "--arch", "sm_90",
                                                                    "--for-driver", "13.1")
        check("filling", code == 0, text)
    return cache


def check_gate(tmp):
    """The plan, the gate and udm_create() agree, each over its own copy of the cache."""
    passed = 0
    for made_by in ("nobody", "11.8", "12.9", "13.0", "shipped"):
        source = os.path.join(tmp, fill(tmp, made_by))
        for driver in DRIVERS:
            for mode in MODES:
                answers = []
                for ask in ("plan", "gate", "create"):
                    shutil.rmtree(os.path.join(tmp, "copy"), ignore_errors=True)
                    if os.path.isdir(source):
                        shutil.copytree(source, os.path.join(tmp, "copy"))
                    before = sorted(os.listdir(source)) if os.path.isdir(source) else []
                    node = Node(tmp, driver, ["13.0"], mode, "copy")
                    if ask == "create":
                        answers.append(node.creates())
                    else:
                        code, text = node.udm("doctor", *(["--no-load"] if ask == "plan" else []))
                        answers.append(code == 0)
                    kept = os.listdir(os.path.join(tmp, "copy")) if before else []
                    check(f"{made_by}, {driver}, {mode}, {ask}: an entry is gone",
                          set(before) <= set(kept))
                check(f"{made_by}, {driver}, {mode}: plan, gate and create say {answers}",
                      answers[0] == answers[1] == answers[2], text)
                if mode == "strict":
                    readable = made_by != "nobody" and (
                        made_by == "shipped" and int(driver) >= 12000 or
                        made_by[0] == "1" and int(made_by[:2]) <= int(driver[:2]))
                    check(f"{made_by}, {driver}: {answers[0]}", answers[0] == readable, text)
                passed += answers[0]
    check("too few passed", passed > 30)


def check_advice(tmp):
    """A layer of NVRTC 13.0, a node with a driver of CUDA 12.8: what the gate says is done."""
    cache = fill(tmp, "13.0")
    strict = Node(tmp, "12080", mode="strict", cache=cache)
    for options in ([], ["--no-load"]):
        code, text = strict.udm("doctor", *options)
        check("the gate passes", code == 1, text)
    found = re.search(r"To do: fill the cache with 'udm (prewarm [^']*)'", text)
    check("no advice", found, text)
    builder = Node(tmp, "13000", ["12.9", "13.0"], cache=cache)
    code, text = builder.udm(*shlex.split(found.group(1)))
    check("the advice fails", code == 0, text)
    code, text = strict.udm("doctor")
    check("the advice does not help", code == 0, text)
    check("create", strict.creates())


def check_other_nvrtc(tmp):
    """The first NVRTC is too new for the driver and another is not: nothing need be installed."""
    node = Node(tmp, "12080", ["13.0", "12.9"], cache="other")
    code, text = node.udm("doctor")
    found = re.search(r"to do: run 'udm (prewarm)': it compiles with NVRTC 12\.9, ", text)
    check("the other NVRTC is not named", code == 0 and "from shipped ptx" in text and found, text)
    node.udm(found.group(1))
    code, text = node.udm("doctor")
    check("the advice does not help", code == 0 and "image: sm_90 from cache" in text and
          "to do:" not in text, text)


def check_for_driver(tmp):
    """One entry per major, nothing twice; what no NVRTC here can do is named, with the wheel."""
    builder = Node(tmp, "13000", ["12.9", "13.0"], cache="fleet")
    code, text = builder.udm("prewarm", "--arch", "sm_80,sm_90", "--for-driver", "12.4,12.8,13.0")
    check("prewarm", code == 0, text)
    check("something is done twice", text.count("  compiled  ") == 4 and "cached" not in text, text)
    entries = [name for name in os.listdir(os.path.join(tmp, "fleet")) if name.endswith(".cubin")]
    check(f"entries: {entries}", len(entries) == 4, text)
    for driver in DRIVERS:
        code, text = Node(tmp, driver, mode="strict", cache="fleet").udm("doctor")
        check(f"{driver}: {code}", code == (1 if driver == "11080" else 0), text)
    newest = Node(tmp, "13000", ["13.0"], cache="fleet")
    for arch, driver, cure in (("sm_90", "12.8", "the Python package nvidia-cuda-nvrtc-cu12"),
                               ("sm_70", "11.8", "the Python package nvidia-cuda-nvrtc-cu11"),
                               ("sm_100", "11.8", "update the driver"),
                               ("sm_90", "10.2", "update the driver")):
        code, text = newest.udm("prewarm", "--arch", arch, "--for-driver", driver)
        check(f"{arch}, {driver}", code == 1 and text.rstrip().endswith(cure), text)
    for wrong in ("", "12.", "12.8,", "12.8,x", "0.1", "12.88", "123", "12.-1", "1.1," * 8 + "2.2"):
        code, text = builder.udm("prewarm", "--for-driver", wrong)
        check(f"'{wrong}' is taken", code == 2, text)


def real_nvrtcs(tmp):
    """Puts NVRTC of three majors where the search finds them. Returns the variables for it."""
    done = subprocess.run([UDM, "doctor", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False, timeout=240)
    own = json.loads(done.stdout)["nvrtc"]
    older = [glob.glob(f"{WHEELS[0]}/{version}/nvidia/cuda_nvrtc/lib/libnvrtc.so.*")
             for version in ("11.8", "12.9")]
    if not own or not own["version"].startswith("13.") or not all(older):
        print("skipped: it needs an NVRTC of CUDA 13, and the wheels that tools/check fetches")
        sys.exit(77)
    found = {}
    for variable, folder, library in (
            ("CUDA_HOME", "lib64", older[0][0]), ("CUDA_PATH", "lib64", older[1][0]),
            ("VIRTUAL_ENV", "lib/python3.11/site-packages/nvidia/cu13/lib", own["path"])):
        found[variable] = os.path.join(tmp, variable)
        link = os.path.join(found[variable], folder)
        os.makedirs(os.path.dirname(link))
        os.symlink(os.path.dirname(os.path.realpath(library)), link)
    return found


def check_real_nvrtcs(tmp):
    """One prewarm for three generations of drivers; each entry serves its own and newer ones."""
    builder = Node(tmp, "13000", cache="fleet")
    del builder.env["UDM_NVRTC_LIBRARY"]
    builder.env.update(real_nvrtcs(tmp))
    code, text = builder.udm("prewarm", "--arch", "sm_90", "--for-driver", "11.8,12.8,13.0",
                             "--json")
    check("prewarm", code == 0, text)
    made = {entry["nvrtc"]: entry["path"] for entry in json.loads(text)["compiled"]}
    check(f"made by {sorted(made)}", [v.split(".")[0] for v in sorted(made)] == ["11", "12", "13"])
    for version, path in made.items():
        os.makedirs(os.path.join(tmp, version))
        os.chmod(os.path.join(tmp, version), 0o700)
        shutil.copy(path, os.path.join(tmp, version))
    for driver in ("11080", "12080", "13000"):
        for cache in ("fleet", *made):
            node = Node(tmp, driver, mode="strict", cache=cache)
            answers = [node.udm("doctor", *options)[0] == 0 for options in (["--no-load"], [])]
            answers.append(node.creates())
            readable = cache == "fleet" or int(cache.split(".")[0]) <= int(driver[:2])
            check(f"{driver}, entries of {cache}: plan, gate and create say {answers}",
                  answers == 3 * [readable], node.udm("doctor")[1])


def main():
    if WHEELS:
        with tempfile.TemporaryDirectory(prefix="udm-fleet-") as tmp:
            check_real_nvrtcs(tmp)
        return
    with tempfile.TemporaryDirectory(prefix="udm-fleet-") as tmp:
        install(tmp, "12.9")
        install(tmp, "13.0")
        check_gate(tmp)
        check_advice(tmp)
        check_other_nvrtc(tmp)
        check_for_driver(tmp)


main()
