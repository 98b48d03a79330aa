#!/usr/bin/env python3
"""Runs one case of the udm command's tests and compares exit code, stdout and stderr.

README.md says how a case is written.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import difflib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = {"args", "env", "exit", "json", "needs", "prepare", "stdin-from", "stdout-to"}


class Case:
    """The fields before '--- stdout', and the two expected texts."""

    def __init__(self, path):
        self.path = path
        self.fields = {"exit": "0"}
        self.env = {}
        self.prepare = []
        self.expected = {"stdout": [], "stderr": []}
        section = None
        with open(path, encoding="utf-8") as file:
            for line in file.read().splitlines():
                if line in ("--- stdout", "--- stderr"):
                    section = line[4:]
                elif section:
                    self.expected[section].append(line)
                elif line and not line.startswith("#"):
                    self.take_field(line)

    def take_field(self, line):
        name, _, value = line.partition(": ")
        if name not in FIELDS:
            sys.exit(f"{self.path}: there is no field '{name}'")
        if name == "env":
            key, _, text = value.partition("=")
            self.env[key] = text
        elif name == "prepare":
            self.prepare.append(value)
        else:
            self.fields[name] = value


def replace_all(text, places):
    for name, value in places.items():
        text = text.replace("{" + name + "}", value)
    return text


def environment(case, places):
    """What udm reads is set by the case alone, so that every machine gives the same output."""
    env = {key: value for key, value in os.environ.items()
           if not key.startswith(("UDM_", "XDG_")) and key != "NO_COLOR"}
    env.update({
        "HOME": places["tmp"], "LC_ALL": "C", "TMP": places["tmp"], "UDM": places["udm"],
        "UDM_CACHE_DIR": os.path.join(places["tmp"], "cache"),
        "UDM_DRIVER_LIBRARY": "/nonexistent/libcuda.so.1",
    })
    if os.environ.get("UDM_NVRTC_LIBRARY"):
        env["UDM_NVRTC_LIBRARY"] = os.environ["UDM_NVRTC_LIBRARY"]
    env.update({key: replace_all(value, places) for key, value in case.env.items()})
    return env


def has_nvrtc(udm):
    """Whether this machine has an NVRTC, as the public interface sees it."""
    answer = subprocess.run([udm, "doctor", "--json"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, check=False)
    return json.loads(answer.stdout)["nvrtc"] is not None


def missing_need(case, places):
    for need in case.fields.get("needs", "").split():
        if need == "nvrtc" and not has_nvrtc(places["udm"]):
            return "no NVRTC is found"
        if need == "fake-cuda" and not os.path.exists(places["fake_cuda"]):
            return "the fake driver was not built"
        if need == "fake-nvrtc" and not os.path.exists(places["fake_nvrtc"]):
            return "the fake NVRTC was not built"
        if need not in ("nvrtc", "fake-cuda", "fake-nvrtc"):
            sys.exit(f"{case.path}: there is no need '{need}'")
    return None


def run(case, places):
    env = environment(case, places)
    quoted = {name: shlex.quote(value or "") for name, value in places.items()}
    for line in case.prepare:
        # no word splitting at spaces: $UDM and the folders may have some in their paths
        # whatever this user's umask: what others may write to is not trusted
        subprocess.run(["bash", "-ec", "umask 022; IFS=$'\\n'; " + replace_all(line, quoted)], env=env,
                       check=True, stdout=subprocess.DEVNULL)
    words = shlex.split(case.fields.get("args", ""))
    command = [places["udm"]] + [replace_all(word, places) for word in words]
    target = case.fields.get("stdout-to")
    source = replace_all(case.fields.get("stdin-from", os.devnull), places)
    with open(target or os.devnull, "w", encoding="utf-8") as file, \
            open(os.path.join(HERE, source), "rb") as stdin:
        return subprocess.run(command, env=env, cwd=HERE, stdin=stdin,
                              stdout=file if target else subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, timeout=300)


def as_lines(text, places):
    text = (text or b"").decode("utf-8", "replace")
    for name in ("tmp", "fake_cuda", "fake_nvrtc", "source", "version"):
        if places[name]:
            text = text.replace(places[name], "{" + name + "}")
    return text.splitlines()


def matches(expected, got):
    """Line by line; {*} in an expected line stands for any text."""
    def pattern(line):
        return ".*".join(re.escape(part) for part in line.split("{*}"))
    return len(expected) == len(got) and all(
        re.fullmatch(pattern(want), line) for want, line in zip(expected, got))


def faults(case, result, got):
    found = []
    want_exit = int(case.fields["exit"])
    if result.returncode != want_exit:
        found.append(f"exit code {result.returncode}, want {want_exit}")
    for stream, lines in got.items():
        if not matches(case.expected[stream], lines):
            found += difflib.unified_diff(case.expected[stream], lines, f"{stream} wanted",
                                          f"{stream} got", lineterm="")
    if case.fields.get("json") == "yes":
        try:
            if not isinstance(json.loads(result.stdout), dict):
                found.append("stdout is JSON, but no object")
        except ValueError as reason:
            found.append(f"stdout is not one JSON object: {reason}")
    return found


def update(case, result, got):
    """Writes what came out into the case, where it does not match already."""
    with open(case.path, encoding="utf-8") as file:
        head = file.read().split("--- stdout\n")[0]
    head = re.sub(r"^exit: .*\n", "", head, flags=re.M).rstrip("\n")
    text = head + f"\nexit: {result.returncode}\n"
    for stream, lines in got.items():
        kept = case.expected[stream] if matches(case.expected[stream], lines) else lines
        text += f"--- {stream}\n" + "".join(line + "\n" for line in kept)
    with open(case.path, "w", encoding="utf-8") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--udm", required=True, help="the program")
    parser.add_argument("--fake-cuda", default="", help="the fake driver, if there is one")
    parser.add_argument("--fake-nvrtc", default="", help="the fake NVRTC, likewise")
    parser.add_argument("--update", action="store_true", help="write the output into the case")
    parser.add_argument("cases", nargs="+")
    options = parser.parse_args()
    version = subprocess.run([options.udm, "--version"], stdout=subprocess.PIPE, check=True)
    status = 0
    for path in options.cases:
        case = Case(path)
        with tempfile.TemporaryDirectory(prefix="udm-cli-") as tmp:
            places = {"tmp": tmp, "udm": os.path.abspath(options.udm),
                      "fake_cuda": os.path.abspath(options.fake_cuda) if options.fake_cuda else "",
                      "fake_nvrtc": (os.path.abspath(options.fake_nvrtc)
                                         if options.fake_nvrtc else ""),
                      "not_utf8": "\udcff",
                      "source": os.path.dirname(os.path.dirname(HERE)), "here": HERE,
                      "version": version.stdout.decode().split()[1]}
            missing = missing_need(case, places)
            if missing:
                print(f"{path}: SKIPPED: {missing}")
                status = status or SKIPPED
                continue
            result = run(case, places)
            got = {"stdout": as_lines(result.stdout, places),
                   "stderr": as_lines(result.stderr, places)}
        if options.update:
            update(case, result, got)
            continue
        found = faults(case, result, got)
        if found:
            print(f"{path}: FAILED", *found, sep="\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
