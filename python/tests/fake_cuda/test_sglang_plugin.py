# SPDX-License-Identifier: Apache-2.0
"""The plug-in, loaded by the real load_plugins() of the pinned SGLang into its real backend
classes; what these import is a stand-in."""

import logging
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from host_tensors import ServerTensor as Tensor
from sglang_server import BACKEND, METHODS, Calls, Server, backend_over, lines, make_case
from sglang_stubs import ForwardMode
from step_case import StepCase

import udm
from udm import _sglang_plugin


def test_what_is_replaced(stubs, caplog):
    """Wherever SGLang holds the functions, and in the two classes; one line says so."""
    caplog.set_level(logging.INFO)
    server = Server()
    from sglang.kernels.ops.attention.dsa import metadata
    from sglang.srt.layers.attention.dsa import dsa_metadata_manager as manager

    before = {f: getattr(metadata, f) for f in vars(manager) if f.startswith("fused_dsa")}
    assert len(before) == 3
    server.load_plugins()
    for name, original in before.items():
        assert getattr(metadata, name) is getattr(manager, name) is not original
        assert getattr(metadata, name).__wrapped__ is original
    for owner, method in METHODS:
        assert hasattr(getattr(getattr(server.module, owner), method), "__wrapped__")
    (line,) = lines(caplog, logging.INFO)
    assert line.startswith(f"udm {udm.__version__} replaces in SGLang 0.5.23: fused_dsa_decode_me")
    for target in ("verify_metadata_kpool", "init_forward_metadata_out_graph", "UDM_SGLANG=0"):
        assert target in line
    assert lines(caplog, logging.WARNING) == []


def test_off(stubs, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("UDM_SGLANG", "0")
    server = Server()
    before = server.module.DeepseekSparseAttnBackend._apply_cuda_graph_metadata
    server.load_plugins()
    assert server.module.DeepseekSparseAttnBackend._apply_cuda_graph_metadata is before
    assert lines(caplog, logging.INFO) == [
        f"udm {udm.__version__} is off in SGLang: UDM_SGLANG is 0"
    ]


def test_rocm(stubs, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    torch = ModuleType("torch")
    torch.version = SimpleNamespace(hip="6.4")
    monkeypatch.setitem(sys.modules, "torch", torch)
    _sglang_plugin.register()
    assert "is off in SGLang: this PyTorch is for ROCm" in lines(caplog, logging.INFO)[0]


def test_function_with_another_parameter(stubs, caplog):
    """It stays SGLang's, with one line; the rest is replaced."""
    caplog.set_level(logging.INFO)
    server = Server()
    from sglang.kernels.ops.attention.dsa import metadata

    def fused_dsa_decode_metadata(seq_lens, something_new):
        pass

    metadata.fused_dsa_decode_metadata = fused_dsa_decode_metadata
    server.load_plugins()
    assert metadata.fused_dsa_decode_metadata is fused_dsa_decode_metadata
    assert hasattr(metadata.fused_dsa_target_verify_metadata, "__wrapped__")
    (line,) = lines(caplog, logging.WARNING)
    assert "does not know this SGLang (0.5.23), which keeps its own: " in line
    assert "(its parameters are seq_lens, something_new)" in line
    assert "fused_dsa_decode_metadata," not in lines(caplog, logging.INFO)[0]


@pytest.mark.parametrize("path", [*_sglang_plugin.USED, METHODS[1]], ids=str)
def test_method_that_is_not_there(stubs, caplog, path):
    """If one that udm relies on is gone, both stay SGLang's; the functions are replaced."""
    server = Server()
    owner, _, name = (".".join(path) if isinstance(path, tuple) else path).rpartition(".")
    owner = _sglang_plugin._find(owner) if owner.startswith(BACKEND) else server.module
    owner = getattr(server.module, path[0]) if isinstance(path, tuple) else owner
    if owner is ForwardMode:
        server.module.ForwardMode = SimpleNamespace()
    else:
        for base in owner.__mro__ if isinstance(owner, type) else [owner]:
            if name in vars(base):
                delattr(base, name)
    if isinstance(owner, ModuleType):
        owner.__class__ = ModuleType
    hooks, unknown = _sglang_plugin._hooks()
    assert len(hooks) == 6 and all("fused_dsa" in target for target in hooks)
    assert any(name in reason for reason in unknown)


def test_function_that_is_not_there(stubs):
    Server()
    from sglang.kernels.ops.attention.dsa import metadata

    del metadata.fused_dsa_decode_metadata
    hooks, (reason,) = _sglang_plugin._hooks()
    assert len(hooks) == 7 and "has no attribute 'fused_dsa_decode_metadata'" in reason


def test_versions_before(stubs):
    """0.5.20 has the functions elsewhere, the KPool forms under the plain names."""
    made = {}
    for paths, ours in _sglang_plugin.FUNCTIONS:
        module, name = paths[1].rsplit(".", 1)
        index_kpool = ", index_kpool=1" if "kpool" in module else ""
        names = [p for p in _sglang_plugin._parameters(ours)]
        names = ["real_page_size" if n == "physical_page_size" else n for n in names]
        made.setdefault(module, {})[name] = f"def {name}({', '.join(names)}{index_kpool}): pass"
    for name in ("sglang.kernels.ops.attention.dsa_kpool_metadata", *made):
        module = sys.modules[name] = ModuleType(name)
        module.__path__ = []
        exec("\n".join(made.get(name, {}).values()), vars(module))
    for paths, ours in _sglang_plugin.FUNCTIONS:
        assert _sglang_plugin._known_function(paths[1:], ours) == (paths[1], "")


@pytest.mark.parametrize("first", ["function", "capture"])
def test_first_use_says_what_serves(server, driver, caplog, first):
    """Once, and with the image: SGLang sets up its log after load_plugins()."""
    from sglang.kernels.ops.attention.dsa import metadata
    from test_sglang import arguments

    caplog.clear()
    caplog.set_level(logging.INFO)
    for _ in range(2):
        if first == "function":
            metadata.fused_dsa_decode_metadata(**arguments(StepCase("decode", 7, backends=1)))
        else:
            backend = backend_over(server, make_case("decode"), 0, Calls())
            backend.decode_cuda_graph_metadata.clear()
            backend._apply_cuda_graph_metadata(9, None, None, None, ForwardMode.DECODE, None)
    driver.synchronise()
    (line,) = lines(caplog, logging.INFO)
    assert line.startswith(f"udm {udm.__version__} replaces in SGLang 0.5.23: fused_dsa_decode_me")
    assert f", by a kernel image for sm_90 from: {udm.image().source}. UDM_SGLANG=0" in line


def test_function_is_udm_s_and_falls_back(server, driver, caplog):
    from sglang.kernels.ops.attention.dsa import metadata
    from test_sglang import arguments, expected

    case = StepCase("target_verify", 7, backends=1)
    wanted = expected(case)
    launches = driver.calls("cuLaunchKernel")
    metadata.fused_dsa_target_verify_metadata(**arguments(case))
    assert driver.calls("cuLaunchKernel") == launches + 1
    driver.synchronise()
    case.check(wanted)
    wrong = {"seq_lens": Tensor(case.seq_lens.astype(np.float32))}
    for _ in range(2):  # SGLang's own asserts that its tensors are on CUDA: a stand-in's are not
        with pytest.raises(AttributeError, match="is_cuda"):
            metadata.fused_dsa_target_verify_metadata(**{**arguments(case), **wrong})
    (line,) = lines(caplog, logging.WARNING)
    text = "fused_dsa_target_verify_metadata of SGLang is used, because udm failed: seq_lens has dt"
    assert line.startswith(text)
