# SPDX-License-Identifier: Apache-2.0
"""The types that the package declares, for a type checker and at run time."""

import os
import pathlib
import subprocess
import sys

import pytest

import udm

pytest.importorskip("mypy")

package = pathlib.Path(udm.__file__).parent

RIGHT = """
from typing import Any

import udm
import udm.sgl_kernel
from udm import Error, NoDriverError, Plan, prepare
from udm.sgl_kernel import unified_decode_metadata_cuda, unified_decode_metadata_cuda_direct

class Metadata:
    cu_seqlens_k: object

def step(lengths: object, indices: object, pool: object, backends: list[Metadata]) -> None:
    unified_decode_metadata_cuda_direct(lengths, indices, pool, backends, 2048, 64, max_len=7)
    unified_decode_metadata_cuda(lengths, indices, pool, pool, 1, 2, 3, 4, 5, extent="batch_max")
    plan = Plan(tuple(backends), pool, 2048, 64, max_batch_size=4)
    plan(lengths, req_pool_indices=indices, stream=0)
    prepare()
    udm.prepare("cuda:1")
    try:
        udm.sgl_kernel.unified_decode_metadata_cuda_direct(lengths, indices, pool, (), 1, 1)
    except NoDriverError as error:
        reveal_type(error.status)
    reveal_type(plan)
    reveal_type(plan.max_len)
    reveal_type(udm.image(0).bytes)
    reveal_type(udm.cache_counters())
    reveal_type(udm.__version__)
    reveal_type(unified_decode_metadata_cuda_direct)
    reveal_type(unified_decode_metadata_cuda)
"""

WRONG = """
import udm
from udm.sgl_kernel import unified_decode_metadata_cuda_direct
unified_decode_metadata_cuda_direct(1, 2, 3, 4, 5, 6)
unified_decode_metadata_cuda_direct(1, 2, 3, [4], 5, 6, extent="rows")
unified_decode_metadata_cuda_direct(1, 2, 3, [4], "5", 6)
udm.Plan([1], 2, 3)
udm.no_such_name
"""


def mypy(tmp_path, source):
    file = tmp_path / "source.py"
    file.write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", file],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_right_calls(tmp_path):
    done = mypy(tmp_path, RIGHT)
    assert done.returncode == 0, done.stdout + done.stderr
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert revealed[:4] == ["str", "udm._udm.Plan", "int", "int"]
    assert revealed[4].endswith("dict[str, int]") and revealed[5] == "str"
    assert len(revealed) == 8
    for function in revealed[6:]:
        assert function.startswith("def (seq_lens: Any, req_pool_indices: Any, req_to_token: Any")
        assert "nsa_index_topk: int, real_page_size: int" in function


def test_wrong_calls(tmp_path):
    done = mypy(tmp_path, WRONG)
    assert done.returncode == 1, done.stdout + done.stderr
    assert [line.split(":")[1] for line in done.stdout.splitlines() if ": error: " in line] == [
        "4", "5", "6", "7", "8",
    ]  # fmt: skip


def test_python_part_of_the_package(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path, package],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_declarations_are_what_there_is(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "udm"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_they_travel_with_the_package():
    assert {"py.typed", "__init__.pyi", "_udm.pyi"} <= {file.name for file in package.iterdir()}
