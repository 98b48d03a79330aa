#!/usr/bin/env python3
"""SIGINT and SIGTERM: a command ends its step, reports what was done, and dies of the signal.
A wait for another process and a compile end at once.

No moment is guessed: a signal is sent when the process watches for it, or has begun to compile.

    interrupted.py UDM FAKE_CUDA FAKE_NVRTC LEAST_NVRTC steps|wait

wait: only the wait for another process; steps: the rest.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TRACE = os.path.join(HERE, "traces", "good.csv")
HOUR_MS = "3600000"
FOREVER = str(2**31 - 1)


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, want {want}")


def watches(pid, number):
    """It blocks the signal, and a thread takes it."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("SigBlk:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def wait_for(process, condition):
    while process.poll() is None and not condition():
        time.sleep(0.001)


def do_not_ignore():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def interrupt(env, number, arguments, begun=None):
    """Starts udm, and the signal follows; returns its outputs once it has died of it."""
    with subprocess.Popen([env["UDM"], *arguments], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, preexec_fn=do_not_ignore) as process:
        wait_for(process, begun or (lambda: watches(process.pid, number)))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=240)
    what = f"{' '.join(arguments)}: {stderr}"
    check(what, process.returncode, -number)
    check(what, f"udm: interrupted by {signal.Signals(number).name}" in stderr, True)
    return stdout, stderr


def check_replay(env):
    arguments = ["replay", TRACE, "--device", "cpu", "--steps", FOREVER, "--check"]
    for number in (signal.SIGINT, signal.SIGTERM):
        report = json.loads(interrupt(env, number, arguments + ["--json"])[0])
        check("interrupted", report["interrupted"], True)
        check("checked", report["checked_steps"], 3 * report["steps"])
        check("whole steps", {phase["launches"] for phase in report["phases"].values()},
              {report["steps"]})
        check("mismatches", report["mismatches"], 0)
    text, _ = interrupt(env, signal.SIGINT, arguments)
    check(text, "then interrupted" in text and "0 mismatches" in text, True)


def check_selftest(env):
    arguments = ["selftest", "--cases", FOREVER]
    report = json.loads(interrupt(env, signal.SIGINT, arguments + ["--json"])[0])
    check("interrupted", report["interrupted"], True)
    check("mismatches", report["mismatches"], 0)
    text, _ = interrupt(env, signal.SIGTERM, arguments)
    check(text, "verdict  none, interrupted: 0 mismatches" in text, True)


def check_bench(env):
    report = json.loads(interrupt(env, signal.SIGINT,
                                  ["bench", "--replays", "1", "--max-tokens", "5000",
                                   "--json"])[0])
    check("interrupted", report["interrupted"], True)
    check("the last point", report["series"][-1]["points"][-1].get("skipped"), "interrupted")


def check_prewarm(env, tmp, nvrtc):
    """A compile of an hour, begun; whether NVRTC asks or not, the command ends."""
    log = os.path.join(tmp, "compiles-" + os.path.basename(nvrtc))
    env = dict(env, UDM_FAKE_NVRTC_LOG=log, UDM_FAKE_NVRTC_DELAY_MS=HOUR_MS,
               UDM_NVRTC_LIBRARY=nvrtc, UDM_FAKE_NVRTC_SIGNALS="1")
    for number in (signal.SIGINT, signal.SIGTERM):
        stdout, stderr = interrupt(env, number,
                                   ["prewarm", "--arch", "all", "--jobs", "1", "--json"],
                                   lambda: os.path.exists(log))
        os.remove(log)
        report = json.loads(stdout)
        check("interrupted", report["interrupted"], True)
        check("compiled", report["compiled"], [])
        check("the first", report["failed"][0]["error"], "interrupted while it was compiled")
        check("the others", {job["error"] for job in report["failed"][1:]},
              {"interrupted before it was compiled"})
        check(stderr, "sm_121: interrupted before it was compiled" in stderr, True)
        check("files", os.listdir(env["UDM_CACHE_DIR"]), [".lock"])


def interrupt_wait(env, number, arguments):
    """Starts udm on a terminal, and the signal comes once the terminal shows that it waits."""
    screen, terminal = os.openpty()
    shown = b""
    with subprocess.Popen([env["UDM"], *arguments], env=dict(env, TERM="xterm"),
                          stdout=subprocess.DEVNULL, stderr=terminal,
                          preexec_fn=do_not_ignore) as process:
        os.close(terminal)
        while b"waiting for another process that compiles" not in shown:
            shown += os.read(screen, 4096)
        process.send_signal(number)
        process.wait(timeout=240)
    os.close(screen)
    check(" ".join(arguments), process.returncode, -number)


def check_wait(env, tmp):
    """Another process compiles for an hour."""
    log = os.path.join(tmp, "holder")
    env = dict(env, UDM_FAKE_NVRTC_DELAY_MS=HOUR_MS, UDM_CACHE_LOCK_SECONDS="3600")
    with subprocess.Popen([env["UDM"], "prewarm", "--arch", "sm_90"],
                          env=dict(env, UDM_FAKE_NVRTC_LOG=log),
                          stdout=subprocess.DEVNULL) as holder:
        wait_for(holder, lambda: os.path.exists(log))
        for number in (signal.SIGINT, signal.SIGTERM):
            interrupt_wait(env, number, ["prewarm", "--arch", "sm_90"])
            interrupt_wait(env, number, ["replay", TRACE, "--device", "gpu"])
            interrupt_wait(env, number, ["selftest", "--cases", "1"])
        holder.kill()


def check_ignored(env):
    """nohup and background jobs: one that was ignored at the start stays ignored."""
    with subprocess.Popen(
            [env["UDM"], "replay", TRACE, "--device", "cpu", "--steps", "200", "--json"], env=env,
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        wait_for(process, lambda: watches(process.pid, signal.SIGTERM))
        process.send_signal(signal.SIGINT)
        report = json.loads(process.communicate(timeout=240)[0])
    check("exit code", process.returncode, 0)
    check("steps", report["steps"], 200)
    check("not interrupted", report["interrupted"], False)


def main():
    udm, driver, nvrtc, least, part = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="udm-interrupted-") as tmp:
        env = {key: value for key, value in os.environ.items() if not key.startswith("UDM_")}
        env.update({"UDM": udm, "UDM_CACHE_DIR": os.path.join(tmp, "cache"),
                    "UDM_DRIVER_LIBRARY": driver, "UDM_NVRTC_LIBRARY": nvrtc})
        if part == "wait":
            check_wait(env, tmp)
            return
        check_replay(env)
        check_prewarm(env, tmp, nvrtc)
        check_prewarm(env, tmp, least)
        # an image that is cached is loaded without a step that could be stopped
        subprocess.run([udm, "prewarm", "--arch", "sm_90"], env=env, check=True,
                       stdout=subprocess.DEVNULL)
        check_selftest(env)
        check_bench(env)
        check_ignored(env)


main()
