#!/usr/bin/env python3
"""A broken NVRTC at every place of the search: doctor, prewarm and a host live, and use another.

    broken_nvrtc.py UDM FAKE_CUDA FAKE_NVRTC [real]

real: the NVRTC of UDM_NVRTC_LIBRARY, or the one that this machine has, is broken as the first one
and as one that is loaded already, and the fake compiles instead.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = ["replay", os.path.join(HERE, "traces", "good.csv"), "--device", "gpu", "--steps", "1"]

# The variable that leads the search to a folder, and the library's name there. The loader's default
# names come first, the newest before the others, so libnvrtc.so.19 is before any real NVRTC.
PLACES = [
    ("LD_LIBRARY_PATH", ".", "libnvrtc.so.18"),
    ("CUDA_HOME", "lib64", "libnvrtc.so.12"),
    ("CUDA_HOME", "targets/x86_64-linux/lib", "libnvrtc.so.12"),
    ("CUDA_PATH", "lib64", "libnvrtc.so.11.2"),
    ("VIRTUAL_ENV", "lib/python3.11/site-packages/nvidia/cu13/lib", "libnvrtc.so.13"),
    ("VIRTUAL_ENV", "lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib", "libnvrtc.so.12"),
    ("CONDA_PREFIX", "lib/python3.11/site-packages/nvidia/cu13/lib", "libnvrtc.so.13"),
    ("CONDA_PREFIX", "lib", "libnvrtc.so"),
]


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, want {want}")


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def truncate(library):
    os.truncate(library, os.path.getsize(library) // 2)


def truncate_builtins(library):
    builtins = os.path.join(os.path.dirname(library), "libnvrtc-builtins.so.12.3")
    shutil.copy(library, builtins)
    truncate(builtins)


def overwrite(library):
    write(library, "no ELF file" * 100)


def cannot_compile(library):
    write(os.path.join(os.path.dirname(library), "fail"), "nvrtcCompileProgram:7")


def fill_code_with_zeros(library):
    """The headers stay as they are: only a process that runs the code notices."""
    with open(library, "r+b") as file:
        header = file.read(64)
        offset, size, count = struct.unpack_from("<Q14xHH", header, 32)
        for i in range(count):
            file.seek(offset + i * size)
            kind, flags, start, _, _, length = struct.unpack("<IIQQQQ", file.read(40))
            if kind == 1 and flags & 1:
                kept = 0 if start else length // 2  # the headers and what the loader reads
                file.seek(start + kept)
                file.write(bytes(length - kept))


# How to break a copy, and what each tool says about it.
KINDS = [
    (truncate, "is truncated"),
    (overwrite, "invalid ELF header"),
    (truncate_builtins, "libnvrtc-builtins.so.12.3 is truncated"),
    (cannot_compile, "it opens, but cannot compile: NVRTC_ERROR"),
    (fill_code_with_zeros, "it kills the process that opens it"),
]


def install(library, folder, name, version):
    os.makedirs(folder, exist_ok=True)
    write(os.path.join(folder, "version"), version)
    write(os.path.join(folder, "archs"), "80,90")
    return shutil.copy(library, os.path.join(folder, name))


def run(env, *arguments):
    """Returns exit code, JSON, and the warnings. A negative exit code is a signal."""
    done = subprocess.run([env["UDM"], *arguments, "--json"], env=env, check=False, timeout=240,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode < 0:
        sys.exit(f"{arguments}: killed by signal {-done.returncode}: {done.stderr}")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("udm: warning:")]
    return done.returncode, json.loads(done.stdout), warnings


def check_doctor(what, env, broken, says):
    code, report, _ = run(env, "doctor")
    check(f"{what}: doctor", (code, report["problems"]), (0, []))
    candidates = {entry["library"]: entry for entry in report["nvrtc_candidates"]}
    check(f"{what}: it is usable", candidates[broken]["usable"], False)
    check(f"{what}: {candidates[broken]['reason']}", says in candidates[broken]["reason"], True)


def check_prewarm(what, env, broken, says):
    code, report, warnings = run(env, "prewarm", "--arch", "sm_80", "--force")
    check(f"{what}: prewarm", (code, [entry["nvrtc"] for entry in report["compiled"]]),
          (0, ["99.0"]))
    check(f"{what}: prewarm's warnings {warnings}", len(warnings), 1)
    check(f"{what}: {warnings}", broken in warnings[0] and says in warnings[0], True)


def check_host(what, env, expected):
    """expected: the text of the one warning, or None for none."""
    shutil.rmtree(env["UDM_CACHE_DIR"], ignore_errors=True)
    code, _, warnings = run(env, *HOST)
    check(f"{what}: host", code, 0)
    check(f"{what}: host's warnings {warnings}", len(warnings), 1 if expected else 0)
    if expected:
        check(f"{what}: {warnings}", expected in warnings[0], True)


def check_later(env, fake, tmp):
    """A broken one behind a good one."""
    for number, (variable, folder, name) in enumerate(PLACES):
        for kind, (spoil, says) in enumerate(KINDS):
            root = os.path.join(tmp, f"later-{number}-{kind}")
            broken = install(fake, os.path.normpath(os.path.join(root, folder)), name, "12.3")
            spoil(broken)
            good = os.path.join(root, "good")
            install(fake, good, "libnvrtc.so.19", "99.0")
            here = dict(env, LD_LIBRARY_PATH=good)
            here[variable] = f"{good}:{root}" if variable == "LD_LIBRARY_PATH" else root
            what = f"{variable}/{folder}, {spoil.__name__}"
            check_doctor(what, here, broken, says)
            check_prewarm(what, here, broken, says)
            check_host(what, here, None)


def real_builtins(library):
    """The name of a real NVRTC's builtins, and where they lie."""
    return sorted(glob.glob(os.path.join(os.path.dirname(library),
                                         "libnvrtc-builtins.so.*.*")))[0]


def break_copy(library, spoil, broken, says):
    """A real NVRTC cannot compile without its builtins. Returns what the tools say of the copy."""
    if library is None or spoil not in (cannot_compile, truncate_builtins):
        spoil(broken)
        return says
    builtins = real_builtins(library)
    if spoil is cannot_compile:
        known = subprocess.run(["ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True)
        if os.path.basename(builtins) in known.stdout:
            print(f"skipped: {library} without builtins: the loader finds them elsewhere")
            return None
        return says
    truncate(shutil.copy(builtins, os.path.dirname(broken)))
    return f"{os.path.basename(builtins)} is truncated"


def broken_file(says):
    return "truncated" in says or "ELF" in says


def check_first(env, fake, real, tmp):
    """A broken one, a real one or the fake, before a good one, the fake."""
    for kind, (spoil, says) in enumerate(KINDS):
        root = os.path.join(tmp, f"first-{kind}-{os.path.basename(real or fake)}")
        good = os.path.join(root, "good")
        broken = install(real or fake, root, "libnvrtc.so.19", "12.3")
        install(fake, good, "libnvrtc.so.18", "99.0")
        here = dict(env, LD_LIBRARY_PATH=f"{root}:{good}")
        what = f"first, {os.path.basename(real or fake)}, {spoil.__name__}"
        says = break_copy(real, spoil, broken, says)
        if spoil is fill_code_with_zeros:
            check_killer(what, here, broken, says)
        elif says:
            check_doctor(what, here, broken, says)
            check_host(what, here, says if broken_file(says) else "is passed over for")
        if says:
            check_prewarm(what, here, broken, says)
        os.remove(broken)


def check_killer(what, env, broken, says):
    """A server that compiles would die; one whose image is cached would not."""
    shutil.rmtree(env["UDM_CACHE_DIR"], ignore_errors=True)
    code, report, _ = run(env, "doctor")
    check(f"{what}: doctor", code, 1)
    check(f"{what}: {report['problems']}",
          len(report["problems"]) == 1 and broken in report["problems"][0], True)
    check(f"{what}: the image's NVRTC", "libnvrtc.so.18" in report["devices"][0]["image"]["detail"],
          True)
    run(dict(env, LD_LIBRARY_PATH=os.path.join(os.path.dirname(broken), "good")), "prewarm",
        "--arch", "sm_90")
    check_doctor(what, env, broken, says)


def check_given(env, fake, tmp):
    """UDM_NVRTC_LIBRARY: no other is tried."""
    for kind, (spoil, says) in enumerate(KINDS):
        root = os.path.join(tmp, f"given-{kind}")
        broken = install(fake, root, "libnvrtc.so.12", "12.3")
        spoil(broken)
        here = dict(env, UDM_NVRTC_LIBRARY=broken)
        code, report, _ = run(here, "prewarm", "--arch", "sm_80", "--force")
        check(f"given, {spoil.__name__}", code, 1)
        check(f"given, {spoil.__name__}: {report}", says in report["error"], True)
        if spoil is cannot_compile:
            check_advice(f"given, {spoil.__name__}", dict(here, UDM_FAKE_CUDA_VERSION="13000"))


def check_advice(what, env):
    """The only NVRTC opens and cannot compile: the plan knows it as well as the loading."""
    for options in (["--no-load"], []):
        shutil.rmtree(env["UDM_CACHE_DIR"], ignore_errors=True)
        code, report, _ = run(env, "doctor", *options)
        image = report["devices"][0]["image"]
        check(f"{what}: {options}", (code, image["source"]), (0, "shipped ptx"))
        check(f"{what}: {options}: {image}",
              "package of the listed NVRTC again" in image["advice"] and
              "NVRTC: none of the listed NVRTCs compiles" in image["skipped"], True)


def check_useless_first(env, fake, tmp):
    """The first cannot compile, and a server looks for no other, as it does not know the GPU."""
    root = os.path.join(tmp, "useless")
    first = install(fake, root, "libnvrtc.so.19", "11.2")
    write(os.path.join(root, "archs"), "120")
    cannot_compile(first)
    good = os.path.join(root, "good")
    install(fake, good, "libnvrtc.so.18", "11.2")
    here = dict(env, LD_LIBRARY_PATH=f"{root}:{good}", UDM_FAKE_CUDA_VERSION="11000")
    shutil.rmtree(here["UDM_CACHE_DIR"], ignore_errors=True)
    check("useless first: host", run(here, *HOST)[0], 1)
    check("useless first: doctor", run(here, "doctor")[0], 1)
    # now the first knows the GPU: a server goes on to the next that does, past one that does not
    write(os.path.join(root, "archs"), "90")
    write(os.path.join(good, "archs"), "120")
    third = install(fake, os.path.join(root, "third"), "libnvrtc.so.17", "11.2")
    here["LD_LIBRARY_PATH"] += ":" + os.path.dirname(third)
    check("third: host", run(here, *HOST)[0], 0)
    shutil.rmtree(here["UDM_CACHE_DIR"], ignore_errors=True)
    code, report, _ = run(here, "doctor")
    check(f"third: doctor: {report['problems']}", code, 0)
    check("third: image", report["devices"][0]["image"]["detail"], third)


def check_loaded(env, fake, real, tmp):
    """One that the process has loaded, as PyTorch would: its builtins are checked."""
    root = os.path.join(tmp, "loaded")
    good = os.path.join(root, "good")
    broken = install(real, root, os.path.basename(real), "12.3")
    says = break_copy(real, truncate_builtins, broken, "")
    install(fake, good, "libnvrtc.so.19", "99.0")
    check_host("loaded", dict(env, LD_PRELOAD=broken, LD_LIBRARY_PATH=good,
                              ASAN_OPTIONS="verify_asan_link_order=0"), says)
    shutil.rmtree(root)


def check_no_child(env, fake, tmp):
    """A limit on processes, as a pod has: doctor and prewarm try the NVRTC all the same."""
    root = os.path.join(tmp, "no-child")
    os.chmod(tmp, 0o755)
    good = install(fake, root, "libnvrtc.so.12", "12.3")

    def limit():
        if os.geteuid() == 0:  # the limit does not hold for root
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))

    here = dict(env, UDM_NVRTC_LIBRARY=good, UDM_CACHE_DIR=os.path.join(root, "cache"))
    os.mkdir(here["UDM_CACHE_DIR"], 0o700)
    if os.geteuid() == 0:
        os.chown(here["UDM_CACHE_DIR"], 65534, 65534)
    try:
        subprocess.run([env["UDM"], "--version"], preexec_fn=limit, check=True,
                       stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        print("skipped: a limit on processes: another user may not run the command here")
        return
    for arguments in (["prewarm", "--arch", "sm_80"], ["doctor"]):
        done = subprocess.run([env["UDM"], *arguments], env=here, preexec_fn=limit, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        check(f"no child: {arguments}: {done.stdout}", done.returncode, 0)


def real_nvrtc(udm):
    done = subprocess.run([udm, "doctor", "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False, timeout=240)
    found = json.loads(done.stdout)["nvrtc"]
    if not found:
        print("skipped: this machine has no NVRTC")
        sys.exit(77)
    return found["path"]


def main():
    udm, driver, fake, *mode = sys.argv[1:]
    real = real_nvrtc(udm) if mode == ["real"] else None
    with tempfile.TemporaryDirectory(prefix="udm-broken-nvrtc-") as tmp:
        search = ("CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH")
        env = {key: value for key, value in os.environ.items()
               if not key.startswith("UDM_") and key not in search}
        env.update({"UDM": udm, "UDM_CACHE_DIR": os.path.join(tmp, "cache"),
                    "UDM_DRIVER_LIBRARY": driver,
                    "UDM_FAKE_CUDA_VERSION": "99000"})  # it takes what the NVRTC of 99.0 makes
        check_first(env, fake, real, tmp)
        if real:
            check_loaded(env, fake, real, tmp)
        else:
            check_later(env, fake, tmp)
            check_given(env, fake, tmp)
            check_useless_first(env, fake, tmp)
            check_no_child(env, fake, tmp)


main()
