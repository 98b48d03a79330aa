# SPDX-License-Identifier: Apache-2.0
"""The examples are run: what they show works, and each class is whole."""

import importlib
import pathlib
import sys
from types import SimpleNamespace

import pytest
from decode_case import DecodeCase
from fake_torch import make_torch
from host_tensors import ExchangeTensor, wrap_backends

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def load(driver, monkeypatch):
    """Imports an example anew, with the fake for PyTorch."""
    monkeypatch.setitem(sys.modules, "torch", make_torch(driver))
    monkeypatch.syspath_prepend(EXAMPLES)
    names = [path.stem for path in EXAMPLES.glob("*.py")]
    for name in names:
        sys.modules.pop(name, None)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["one_step", "cuda_graph"])
def test_whole_programs(load, capsys, name):
    load(name).main()
    assert "as eager PyTorch has it" in capsys.readouterr().out


class Sliced(ExchangeTensor):
    """seq_lens[:bs], as a server takes it of the tensors of its largest batch."""

    def __getitem__(self, index):
        return Sliced(self.array[index])


@pytest.mark.parametrize("name", ["DropIn", "BoundOnce"])
def test_multi_step_backend(driver, load, name):
    case = DecodeCase(6, backends=3)
    backends = [
        SimpleNamespace(
            decode_cuda_graph_metadata={case.batch_size: metadata},
            req_to_token=ExchangeTensor(case.req_to_token),
            nsa_index_topk=case.topk,
            real_page_size=case.page_size,
        )
        for metadata in wrap_backends(case, ExchangeTensor)
    ]
    made = getattr(load("sglang_multi_step_backend"), name)(backends)
    if hasattr(made, "init_forward_metadata_capture_cuda_graph"):
        made.init_forward_metadata_capture_cuda_graph(case.batch_size)
    for _ in range(3):
        case.draw_lengths()
        expected = case.expected()
        batch = SimpleNamespace(
            seq_lens=Sliced(case.seq_lens), req_pool_indices=Sliced(case.req_pool_indices)
        )
        made.init_forward_metadata_replay_cuda_graph(batch, case.batch_size)
        driver.synchronise()
        case.check(expected)


def test_every_example_is_run_here():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "one_step",
        "cuda_graph",
        "sglang_multi_step_backend",
    }
