# SPDX-License-Identifier: Apache-2.0
"""The package itself: names, stubs, documentation, the command."""

import inspect
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import pytest

import udm
import udm.sgl_kernel

package = pathlib.Path(udm.__file__).parent


def test_everything_is_documented():
    for name in udm.__all__:
        if name != "__version__":
            assert getattr(udm, name).__doc__, name
    for function in (udm.unified_decode_metadata_cuda_direct, udm.unified_decode_metadata_cuda):
        assert "Example" in function.__doc__ and "int32" in function.__doc__
    for name in ("seq_lens ", "req_pool_indices ", "max_batch_size ", "torch.cuda.graph("):
        assert name in udm.Plan.__doc__
    assert "Example" in udm.prepare.__doc__


def test_signatures_are_those_of_the_original():
    direct = inspect.signature(udm.sgl_kernel.unified_decode_metadata_cuda_direct)
    assert list(direct.parameters)[:6] == [
        "seq_lens",
        "req_pool_indices",
        "req_to_token",
        "backend_metadata_list",
        "nsa_index_topk",
        "real_page_size",
    ]
    pointers = inspect.signature(udm.sgl_kernel.unified_decode_metadata_cuda)
    assert list(pointers.parameters)[:9] == [
        "seq_lens",
        "req_pool_indices",
        "req_to_token",
        "backend_pointers",
        "max_len_allocated",
        "nsa_index_topk",
        "real_page_size",
        "real_page_table_cols",
        "real_page_table_dst_stride",
    ]


def test_exceptions():
    assert issubclass(udm.Error, RuntimeError)
    assert issubclass(udm.InvalidArgumentError, ValueError)
    for name in udm.__all__:
        if name.endswith("Error"):
            assert issubclass(getattr(udm, name), udm.Error)


def test_status_of_exceptions_that_others_make():
    assert udm.Error("mine").status == "UDM_ERROR_UNKNOWN"
    assert udm.NoDriverError("mine").status == udm.NoDriverError.status == "UDM_ERROR_NO_DRIVER"
    assert udm.InvalidArgumentError().status == "UDM_ERROR_INVALID_ARGUMENT"
    copied = pickle.loads(pickle.dumps(udm.CacheError("mine")))
    assert (type(copied), copied.args, copied.status) == (
        udm.CacheError,
        ("mine",),
        "UDM_ERROR_CACHE",
    )


def test_help_shows_what_there_is_to_use():
    assert [name for name in vars(udm.Plan) if name.endswith("offset__")] == []


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "udm", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_is_the_one_of_the_library():
    done = command("--version")
    assert done.returncode == 0 and udm.__version__ in done.stdout


def run_in_the_source_folder(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments", [("-c", "import udm"), ("-c", "import udm.sgl_kernel"), ("-m", "udm", "doctor")]
)
def test_python_that_runs_in_the_source_folder(arguments):
    done = run_in_the_source_folder(*arguments)
    assert done.returncode != 0
    assert "ImportError: " in done.stderr
    assert "is the source of udm, which has no compiled part: install the package" in done.stderr
    assert "circular" not in done.stderr


def test_compiled_part_that_is_missing_elsewhere(tmp_path):
    """The original error, not the one of the source folder."""
    shutil.copytree(package, tmp_path / "udm", ignore=shutil.ignore_patterns("_udm*", "bin"))
    done = subprocess.run(
        [sys.executable, "-c", "import udm"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "cannot import name '_udm'" in done.stderr and "source of udm" not in done.stderr


def test_command_that_is_missing(tmp_path):
    shutil.copytree(package, tmp_path / "udm", ignore=shutil.ignore_patterns("bin"))
    done = subprocess.run(
        [sys.executable, "-m", "udm", "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    path = str(tmp_path / "udm" / "bin" / "udm")
    assert f"FileNotFoundError: [Errno 2] No such file or directory: {path!r}" in done.stderr


def test_doctor(session_driver):
    done = command("doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["devices"]) == 2


def test_exit_status_of_the_command():
    assert command("no-such-command").returncode == 2


@pytest.mark.parametrize("name", ["Plan", "Error", "NoDriverError"])
def test_names_of_types(name):
    assert f"{getattr(udm, name).__module__}.{name}" == f"udm.{name}"
