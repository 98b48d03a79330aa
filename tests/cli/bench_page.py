#!/usr/bin/env python3
"""The page of udm bench: what is on it, and what becomes of it when a run does not end well.

    bench_page.py UDM FAKE_CUDA FAKE_NVRTC

SPDX-License-Identifier: Apache-2.0
"""
import html.parser
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

OLD = "an older page\n"
PHONE = 360 - 2 * 12  # pixels between the paddings of the body
VOID = {"meta"}
OPTIONAL_END = {"html", "tr", "th", "td"}


def check(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got}, want {want}")


class Page(html.parser.HTMLParser):
    """Elements, and texts by the element that they are in; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], {}
        self.feed(text)
        check("never closed", [tag for tag in self.open if tag not in OPTIONAL_END], [])

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in OPTIONAL_END:
            self.open.pop()
        check("closed", tag, self.open.pop() if self.open else None)

    def handle_data(self, data):
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write_old(path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(OLD)


def bench(env, *arguments, before=None):
    return subprocess.run([env["UDM"], "bench", "--replays", "1", "--max-tokens", "5000",
                           *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, preexec_fn=before, check=False, timeout=240)


def check_is_alone(text, page):
    """Nothing is fetched, nothing is run."""
    check("addresses", re.findall(r"https?:|url\(|@import", text), [])
    check("scripts", [tag for tag, _ in page.elements if tag in ("script", "link", "img")], [])
    check("references", [attrs for _, attrs in page.elements if {"src", "href"} & set(attrs)], [])


def check_charts(text, page):
    boxes = [[float(part) for part in attrs["viewbox"].split()] for attrs in page.all("svg")]
    font = float(re.search(r"svg text\{[^}]*font-size:([0-9.]+)px", text).group(1))
    check("a chart of the one row, none of what was skipped", len(boxes), 1)
    _, _, width, height = boxes[0]
    check("text is readable on a phone", font * PHONE / width >= 11, True)
    for attrs in page.all("circle"):
        check(f"a point inside the chart: {attrs}",
              0 <= float(attrs["cx"]) <= width and 0 <= float(attrs["cy"]) <= height, True)
    check("sizes", "1k" in page.texts["td"] and "width 1M" in page.texts["small"], True)
    check("1024k", "1024k" in text, False)
    check("no number that is none", re.findall(r"\b(?:nan|inf)\b", text), [])


def check_whole(env, path):
    write_old(path)
    done = bench(env, "--html", path, "--json")
    check(done.stderr, done.returncode, 0)
    report = json.loads(done.stdout)
    text = read(path)
    page = Page(text)
    check_is_alone(text, page)
    check_charts(text, page)
    for name in ("cold_ms", "cold_driver_cache_ms", "warm_ms", "ptx_ms", "ptx_driver_cache_ms"):
        value = report["create"][name]
        check(f"{name} {value}", value is None or f"{value:.2f}" in page.texts["td"], True)
    for fact in ("driver_cuda", "nvrtc", "date", "host_cpu"):
        check(f"{fact} {report[fact]}", (report[fact] or "unknown CPU") in " ".join(page.texts["td"]),
              True)
    check("udm_create", "Time of udm_create, ms" in page.texts["h2"], True)
    check("why there is no chart of it",
          text.count("<p>Not measured: more tokens than --max-tokens.</p>"), 2)
    check("bars", len([attrs for attrs in page.all("div") if attrs.get("class") == "bar"]) >= 4,
          True)
    check("interrupted", "Interrupted." in text, False)
    check("files beside it", os.listdir(os.path.dirname(path)), [os.path.basename(path)])


def check_nothing_measured(env, path):
    done = bench(env, "--quick", "--max-tokens", "1", "--html", path)
    check(done.stderr, done.returncode, 0)
    text = read(path)
    check("host", "<p>Not measured: all workloads were skipped.</p>" in text, True)
    check("charts", Page(text).all("svg"), [])


def check_fresh_processes(env):
    """udm_create is timed in processes of its own: one without the driver's cache, one that fills
    it, one that finds it full."""
    log = os.path.join(env["TMPDIR"], "compiles")
    with subprocess.Popen([env["UDM"], "bench", "--quick", "--max-tokens", "1"],
                          env=dict(env, UDM_FAKE_NVRTC_LOG=log), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        _, stderr = process.communicate(timeout=240)
    check(stderr, process.returncode, 0)
    compiles = [line.split() for line in read(log).splitlines()]
    pids = [int(words[2]) for words in compiles]
    check("without the driver's cache", [words[3:] for words in compiles[:3]],
          [["CUDA_CACHE_DISABLE=1"], [], []])
    check(f"fresh processes {pids}", len(set(pids[:3])), 3)
    check(f"compiles of the bench itself {pids}", set(pids[3:]), {process.pid})
    check("folders left", [name for name in os.listdir(env["TMPDIR"])
                           if name.startswith("udm-bench-")], [])


def check_interrupted(env, path):
    """The signal comes when the process watches for it: a page that says so."""
    def watches(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            mask = re.search(r"^SigBlk:\s*(\w+)", file.read(), re.M).group(1)
        return int(mask, 16) >> (signal.SIGINT - 1) & 1

    with subprocess.Popen([env["UDM"], "bench", "--html", path], env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        while process.poll() is None and not watches(process.pid):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=240)
    check(stderr, process.returncode, -signal.SIGINT)
    text = read(path)
    Page(text)
    check("interrupted", "<b>Interrupted.</b>" in text, True)
    check("the last chart", text.count("<p>Not measured: interrupted.</p>") >= 1, True)


def check_full_disk(env, path):
    """The page does not fit: the report is printed, and the older page is as it was."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    for arguments in ([], ["--json"]):
        write_old(path)
        done = bench(env, "--max-tokens", "1", "--html", path, *arguments, before=limit)
        check(done.stderr, done.returncode, 1)
        check("the report", len(done.stdout) > 1000, True)
        check("the error", done.stderr.splitlines()[-1],
              f"udm: cannot write {path}: File too large")
        if arguments:
            check("works", "works" in json.loads(done.stdout), True)
        check("the older page", read(path), OLD)
        check("files beside it", os.listdir(os.path.dirname(path)), [os.path.basename(path)])


def check_failed(env, path):
    """A launch fails on the way: no page, and the older one is as it was."""
    write_old(path)
    done = bench(dict(env, UDM_FAKE_CUDA_FAIL="cuGraphLaunch:700"), "--quick", "--html", path)
    check(done.stderr, done.returncode, 1)
    check("the older page", read(path), OLD)
    check("files beside it", os.listdir(os.path.dirname(path)), [os.path.basename(path)])


def main():
    udm, driver, nvrtc = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="udm-bench-page-") as tmp:
        folder = os.path.join(tmp, "pages")
        os.mkdir(folder)
        path = os.path.join(folder, "page.html")
        env = {key: value for key, value in os.environ.items() if not key.startswith("UDM_")}
        env.update({"UDM": udm, "UDM_CACHE_DIR": os.path.join(tmp, "cache"), "TMPDIR": tmp,
                    "UDM_DRIVER_LIBRARY": driver, "UDM_NVRTC_LIBRARY": nvrtc})
        check_whole(env, path)
        check_nothing_measured(env, path)
        check_fresh_processes(env)
        check_interrupted(env, path)
        check_full_disk(env, path)
        check_failed(env, path)


main()
