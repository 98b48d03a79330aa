# SPDX-License-Identifier: Apache-2.0
"""The package as such: names, stubs, documentation, the command."""

import ast
import inspect
import json
import os
import pathlib
import pickle
import subprocess
import sys

import pytest

import udm
import udm.sgl_kernel

package = pathlib.Path(udm.__file__).parent


def stub_names():
    tree = ast.parse((package / "__init__.pyi").read_text())
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return names | {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}


def test_stubs_name_what_there_is():
    assert stub_names() == set(udm.__all__)
    assert (package / "py.typed").exists()


def stub_parameters(function):
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return [a.arg for a in arguments if a.arg != "self"]


def test_stubs_have_the_parameters_there_are():
    tree = ast.parse((package / "__init__.pyi").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert len(functions) == 3
    plan = next(node for node in tree.body if getattr(node, "name", None) == "Plan")
    functions["Plan"] = next(n for n in plan.body if getattr(n, "name", None) == "__init__")
    for name, function in functions.items():
        there = inspect.signature(getattr(udm, name)).parameters
        assert stub_parameters(function) == list(there), name


def test_everything_is_documented():
    for name in udm.__all__:
        if name != "__version__":
            assert getattr(udm, name).__doc__, name
    for function in (udm.unified_decode_metadata_cuda_direct, udm.unified_decode_metadata_cuda):
        assert "Example" in function.__doc__ and "int32" in function.__doc__


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


def test_doctor(session_driver):
    done = command("doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["devices"]) == 2


def test_exit_status_of_the_command():
    assert command("no-such-command").returncode == 2


@pytest.mark.parametrize("name", ["Plan", "Error", "NoDriverError"])
def test_names_of_types(name):
    assert f"{getattr(udm, name).__module__}.{name}" == f"udm.{name}"
