# SPDX-License-Identifier: Apache-2.0
"""The library's log in Python's logging, udm.image() and udm.cache_counters()."""

import fcntl
import os
import pathlib
import re
import struct
import subprocess
import sys
import textwrap

import pytest

import udm

SHOW_LINES = (
    "import logging\nlogging.basicConfig(level='{}', format='%(name)s %(levelname)s %(message)s')\n"
)


@pytest.fixture
def run(session_driver, tmp_path):
    """Runs a program with an empty cache and without NVRTC: the driver assembles the shipped PTX.
    Returns its output and what it wrote to stderr: with a level, the log from that level on."""

    def run_program(program, level=None, **environment):
        show = SHOW_LINES.format(level) if level else ""
        done = subprocess.run(
            [sys.executable, "-c", show + textwrap.dedent(program)],
            env={
                **os.environ,
                "UDM_CACHE_DIR": str(tmp_path / "cache"),
                "UDM_NO_COMPILE": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return run_program


def test_warnings_are_shown_without_any_handler(run):
    output, errors = run("import udm; udm.prepare()", UDM_CACHE_MAX_BYTES="much")
    assert output == ""
    lines = errors.splitlines()
    assert lines[0] == (
        "UDM_CACHE_MAX_BYTES is 'much': it must be a number of bytes above 0, or one with K, M or "
        "G behind it; 256M is used"
    )
    assert lines[1].startswith("sm_90 is served by a lesser image,") and len(lines) == 2


def test_levels(run):
    _, errors = run("import udm; udm.prepare(0)", "DEBUG", UDM_CACHE_MAX_BYTES="100%s")
    lines = errors.splitlines()
    assert lines[0].startswith("udm WARNING UDM_CACHE_MAX_BYTES is '100%s': ")
    assert any(line.startswith("udm DEBUG cache: no usable entry for ") for line in lines)
    assert lines[-2] == (
        "udm INFO sm_90 is served by shipped ptx (sm_90, the PTX that udm carries)"
    )
    assert lines[-1].startswith("udm WARNING sm_90 is served by a lesser image,")
    assert all(re.match("udm (WARNING|INFO|DEBUG) ", line) for line in lines)


def test_each_line_comes_once(run):
    """From whichever thread loads the kernel."""
    program = """
        import threading, udm
        threads = [threading.Thread(target=udm.prepare, args=[n % 2]) for n in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        udm.prepare(0)
    """
    _, errors = run(program, "INFO")
    assert sorted(line.split("(")[0].split(",")[0] for line in errors.splitlines()) == [
        "udm INFO sm_86 is served by shipped ptx ",
        "udm INFO sm_90 is served by shipped ptx ",
        "udm WARNING sm_86 is served by a lesser image",
        "udm WARNING sm_90 is served by a lesser image",
    ]


def test_handlers_may_call_udm(run):
    program = """
        import logging, udm
        class Handler(logging.Handler):
            def emit(self, record):
                print(record.levelname, udm.image(0).source, udm.cache_counters()["publishes"])
        logging.getLogger("udm").addHandler(Handler())
        logging.getLogger("udm").setLevel(logging.INFO)
        udm.prepare(0)
    """
    assert run(program)[0] == "INFO shipped ptx 1\nWARNING shipped ptx 1\n"


FAILING_FILTER = """
    import logging, udm
    def fail(record): raise KeyError("filter")
    logging.getLogger("udm").addFilter(fail)
    logging.getLogger("udm").setLevel(logging.DEBUG)
    try:
        udm.prepare({device})
    except Exception as error:
        print(type(error).__name__, error)
    print(udm.cache_counters()["publishes"])
    logging.getLogger("udm").removeFilter(fail)
"""


def test_exception_of_a_filter(run):
    """It reaches the caller, as in any Python library; the kernel is loaded all the same."""
    again = "    print(udm.image(0).source, udm.cache_counters()['publishes'])"
    output, errors = run(FAILING_FILTER.format(device=0) + again)
    assert output == "KeyError 'filter'\n1\nshipped ptx 1\n"
    assert errors == ""


def test_exception_of_a_filter_hides_no_failure(run):
    output, errors = run(FAILING_FILTER.format(device=0), UDM_NO_COMPILE="strict")
    assert output.startswith("NoImageError no kernel image for sm_90:")
    assert "KeyError: 'filter'" in errors


def test_failure_after_handlers_that_fail_in_udm(run):
    """The message is that of the failed load, not of what a handler called."""
    program = """
        import logging, udm
        class Handler(logging.Handler):
            def emit(self, record):
                try: udm.prepare(7)
                except udm.NoDeviceError: print("handled")
        logging.getLogger("udm").addHandler(Handler())
        logging.getLogger("udm").setLevel(logging.DEBUG)
        try: udm.prepare(0)
        except udm.NoImageError as error: print(error)
    """
    lines = run(program, UDM_NO_COMPILE="strict")[0].splitlines()
    assert lines[0] == "handled" and "no kernel image for sm_90:" in lines


def test_first_use_at_the_exit_of_the_interpreter(run):
    """In atexit the log works; later there is no logging to pass lines to, and nothing fails."""
    program = """
        import atexit, udm
        class Late:
            def __del__(self, prepare=udm.prepare): prepare(1)
        late = Late()
        late.itself = late
        atexit.register(udm.prepare, 0)
        print("end")
    """
    output, errors = run(program, "INFO")
    assert output == "end\n"
    assert "served by shipped ptx (sm_90" in errors and "Traceback" not in errors


def test_thread_that_loads_while_the_interpreter_exits(run, tmp_path):
    """A daemon thread waits for the lock of another process, and comes back to an interpreter that
    is going away."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    with open(os.open(cache / ".lock", os.O_RDWR | os.O_CREAT, 0o600), "wb") as lock:
        every_byte = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(lock, getattr(fcntl, "F_OFD_SETLK", 37), every_byte)
        program = """
            import threading, time, udm
            class Late:
                def __del__(self, sleep=time.sleep): sleep(2)
            late = Late()
            threading.Thread(target=udm.prepare, args=[0], daemon=True).start()
            time.sleep(0.3)
            print("end", udm.cache_counters()["lock_waits"])
        """
        output, errors = run(program, "DEBUG", UDM_CACHE_LOCK_SECONDS="1")
    assert output == "end 1\n" and errors == ""


def test_image(session_driver, tmp_path, run):
    image = udm.image()
    assert image == udm.image(0) == udm.image("cuda:0")
    assert isinstance(image, udm.Image) and isinstance(image, tuple)
    assert (image.architecture, udm.image(1).architecture) == (90, 86)
    assert image.bytes > 1000
    program = """
        import udm
        for device in (0, 1): print(*udm.image(device), sep="|")
    """
    for source in ("shipped ptx", "cache"):
        for line, architecture in zip(run(program)[0].splitlines(), (90, 86)):
            fields = line.split("|")
            assert fields[:2] == [source, str(architecture)]
            assert fields[2].startswith("shipped decode_metadata.ptx, xxh3-128 ")
            # the key text, the producer and the footer follow the image in its file
            (entry,) = (tmp_path / "cache").glob(f"sm_{architecture}-*.cubin")
            assert 0 < entry.stat().st_size - int(fields[3]) < 1200


def test_image_of_no_device(driver):
    with pytest.raises(udm.NoDeviceError, match="there is no CUDA device 64"):
        udm.image(64)
    with pytest.raises(ValueError, match="^device is 'cpu': it must be a CUDA device"):
        udm.image("cpu")


def test_cache_counters_are_those_of_the_header(run):
    header = pathlib.Path(__file__).parents[3] / "include" / "udm.h"
    table = header.read_text().split("#define UDM_CACHE_COUNTER_TABLE(X)")[1].split("\n\n")[0]
    assert list(udm.cache_counters()) == re.findall(r"X\((\w+),", table)
    assert all(type(value) is int for value in udm.cache_counters().values())
    program = """
        import udm
        assert not any(udm.cache_counters().values())
        udm.prepare(0)
        print({name: value for name, value in udm.cache_counters().items() if value})
    """
    assert eval(run(program)[0]) == {"misses_no_entry": 1, "publishes": 1}
    assert eval(run(program)[0]) == {"hits_writable": 1, "misses_no_entry": 1}  # not the best
