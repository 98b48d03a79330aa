# SPDX-License-Identifier: Apache-2.0
"""Import needs nothing; the first use reports what is missing, in the library's words."""

import os
import subprocess
import sys
import textwrap

import pytest


def run(program, **environment):
    """Returns its output. Changes this process's environment for it; None removes a variable."""
    variables = {**os.environ, **{k: v for k, v in environment.items() if v is not None}}
    for name in (k for k, v in environment.items() if v is None):
        variables.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PREPARE = """
    import udm
    try:
        udm.prepare({device})
    except udm.Error as error:
        print(type(error).__name__, error.status, error)
    else:
        print("prepared")
"""


def test_import_alone_opens_nothing():
    program = """
        import udm, udm.sgl_kernel
        maps = open("/proc/self/maps").read()
        assert "cuda.so" not in maps and "nvrtc" not in maps and "fake_cuda" not in maps
    """
    run(program)


def test_no_driver(tmp_path):
    output = run(PREPARE.format(device=0), UDM_DRIVER_LIBRARY=str(tmp_path / "none.so"))
    assert output.startswith("NoDriverError UDM_ERROR_NO_DRIVER dlopen: ")
    assert "none.so" in output


def test_no_device(session_driver):
    output = run(PREPARE.format(device=0), UDM_FAKE_CUDA_DEVICES="")
    assert output.startswith("NoDeviceError UDM_ERROR_NO_DEVICE ")


def test_device_that_is_not_there(session_driver):
    output = run(PREPARE.format(device=7))
    assert output.startswith("NoDeviceError UDM_ERROR_NO_DEVICE ")
    assert output.endswith(
        "there is no CUDA device 7; python -m udm doctor lists those there are\n"
    )


def test_a_failing_driver(session_driver):
    output = run(PREPARE.format(device=0), UDM_FAKE_CUDA_FAIL="cuCtxGetCurrent:999")
    assert output.startswith("DriverError UDM_ERROR_DRIVER cuCtxGetCurrent failed: ")


def test_no_nvrtc_and_an_empty_cache(session_driver, tmp_path):
    """The library's message names every image source that it tried."""
    output = run(
        PREPARE.format(device=0),
        UDM_NVRTC_LIBRARY=str(tmp_path / "libnvrtc.so"),
        UDM_CACHE_DIR=str(tmp_path),
        UDM_NO_COMPILE="strict",
    )
    assert output.startswith("NoImageError UDM_ERROR_NO_IMAGE ")
    assert len(output) > 60


def test_nvrtc_of_a_wheel_is_asked_for_only_in_need(session_driver):
    """With a warm cache, udm does not look for NVRTC."""
    program = """
        import sys, udm
        udm.prepare()
        assert "udm._nvrtc" not in sys.modules and "cuda.pathfinder" not in sys.modules
    """
    run(program)


@pytest.mark.parametrize("found", [True, False])
def test_nvrtc_of_a_wheel(session_driver, tmp_path, found):
    """If the library finds no NVRTC, udm tries the one that cuda-pathfinder finds: here a file that
    is not NVRTC, so that the message names it."""
    stub = tmp_path / "cuda" / "pathfinder"
    stub.mkdir(parents=True)
    wheel = tmp_path / "wheel_libnvrtc.so"
    wheel.write_text("no library")
    answer = f"return type('LoadedDL', (), {{'abs_path': {str(wheel)!r}}})"
    stub.joinpath("__init__.py").write_text(
        "class DynamicLibNotFoundError(RuntimeError): pass\n"
        "def load_nvidia_dynamic_lib(name):\n"
        f"    {answer if found else 'raise DynamicLibNotFoundError(name)'}\n"
    )
    program = f"""
        import os, sys
        sys.path.insert(0, {str(tmp_path)!r})
        import udm
        from udm import _nvrtc
        assert _nvrtc.find() == {str(wheel) if found else None!r}
        os.environ["UDM_NVRTC_LIBRARY"] = "/named"
        assert _nvrtc.find() is None
    """
    run(program, UDM_NVRTC_LIBRARY=None)


def test_ctrl_c_ends_a_compile(session_driver, tmp_path):
    """The signal comes once the compile, of an hour, has begun; then the next try works."""
    fake_nvrtc = os.environ.get("FAKE_NVRTC")
    if not fake_nvrtc:
        pytest.skip("FAKE_NVRTC does not name the fake NVRTC")
    program = """
        import os, signal, threading, time, udm

        def interrupt():
            while not os.path.exists(os.environ["UDM_FAKE_NVRTC_LOG"]):
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt).start()
        try:
            udm.prepare(0)
        except KeyboardInterrupt:
            del os.environ["UDM_FAKE_NVRTC_DELAY_MS"]
            udm.prepare(0)
            print("interrupted, then prepared")
    """
    output = run(
        program,
        UDM_NVRTC_LIBRARY=fake_nvrtc,
        UDM_CACHE_DIR=str(tmp_path),
        UDM_FAKE_NVRTC_DELAY_MS="3600000",
        UDM_FAKE_NVRTC_LOG=str(tmp_path / "log"),
    )
    assert output == "interrupted, then prepared\n"
