# SPDX-License-Identifier: Apache-2.0
"""The fake driver, and udm loaded over it."""

import ctypes
import os
import sys

import pytest

import udm


class Driver:
    """The calls of the driver that tests make themselves."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)

    def __call__(self, function, *arguments):
        result = getattr(self.library, function)(*arguments)
        assert result == 0, f"{function}: {result}"

    def out(self, function, *arguments):
        """Calls a function whose first parameter receives a handle."""
        handle = ctypes.c_void_p()
        self(function, ctypes.byref(handle), *arguments)
        return handle

    def calls(self, function):
        self.library.fake_cuda_calls.restype = ctypes.c_int64
        return self.library.fake_cuda_calls(function.encode())

    def synchronise(self):
        self("cuCtxSynchronize")

    def new_stream(self):
        return self.out("cuStreamCreate", 1)  # non-blocking: the default stream does not order it

    def primary_context(self, device):
        return self.out("cuDevicePrimaryCtxRetain", device)


@pytest.fixture(scope="session")
def session_driver():
    path = os.environ.get("UDM_DRIVER_LIBRARY")
    if not path:
        pytest.skip("UDM_DRIVER_LIBRARY does not name the fake driver")
    driver = Driver(path)
    driver("cuInit", 0)
    driver("cuCtxSetCurrent", driver.primary_context(0))
    try:
        udm.prepare()
    except udm.NoImageError as error:
        pytest.skip(f"no NVRTC to compile with: {error}")
    return driver


@pytest.fixture
def driver(session_driver):
    """Device 0 is current and idle, before and after."""
    session_driver("cuCtxSetCurrent", session_driver.primary_context(0))
    yield session_driver
    session_driver("cuCtxSetCurrent", session_driver.primary_context(0))
    session_driver.synchronise()


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """SGLang, and udm as an installed distribution with its plug-in."""
    import sglang_server
    import sglang_stubs

    from udm import _sglang_replay

    info = tmp_path / "udm-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: udm\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(sglang_server.entry_points())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("UDM_SGLANG", raising=False)
    monkeypatch.setattr(_sglang_replay, "_warned", False)
    monkeypatch.setattr(_sglang_replay, "_given_up", False)
    monkeypatch.setattr(_sglang_replay, "_to_announce", "")
    with sglang_stubs.sglang():
        yield
        sys.modules.pop("deep_gemm", None)


@pytest.fixture
def server(stubs, driver):
    import sglang_server

    made = sglang_server.Server()
    made.load_plugins()
    return made
