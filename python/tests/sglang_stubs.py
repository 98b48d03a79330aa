# SPDX-License-Identifier: Apache-2.0
"""SGLang's own source of its DSA backend and of its plug-in mechanism, imported from the wheel,
with a stand-in for every module that these import and that is not installed."""

import contextlib
import enum
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import types

import pytest

REAL = (
    "sglang.srt.environ",
    "sglang.srt.layers.attention.dsa.dsa_backend_kpool",
    "sglang.srt.layers.attention.dsa.dsa_backend_mtp_precompute",
    "sglang.srt.layers.attention.dsa.dsa_metadata_manager",
    "sglang.srt.layers.attention.dsa_backend",
    "sglang.srt.plugins",
    "sglang.kernels.ops.attention.dsa.kpool_metadata",
    "sglang.kernels.ops.attention.dsa.metadata",
)


class ForwardMode(enum.Enum):
    DECODE = 1
    TARGET_VERIFY = 2
    DRAFT_EXTEND_V2 = 3
    EXTEND = 4

    def is_decode_or_idle(self):
        return self is ForwardMode.DECODE

    def is_target_verify(self):
        return self is ForwardMode.TARGET_VERIFY

    def is_draft_extend_v2(self):
        return self is ForwardMode.DRAFT_EXTEND_V2


ON_CUDA = {"is_cuda": lambda: True, "is_hip": lambda: False}
GIVEN = {
    "torch": {"version": types.SimpleNamespace(hip=None)},
    "sglang.srt.utils": ON_CUDA,
    "sglang.srt.utils.common": ON_CUDA,
    "sglang.srt.model_executor.forward_batch_info": {"ForwardMode": ForwardMode},
}


class Anything(type):
    """A class with every attribute, to inherit from, to call, to decorate with, to subscript. Real
    classes that inherit from one are as they are written."""

    def is_stand_in(cls):
        return cls.__bases__ == (object,)

    def __getattr__(cls, name):
        if name.startswith("__") or not cls.is_stand_in():
            raise AttributeError(name)
        return Anything(name, (), {})

    def __getitem__(cls, key):
        return cls

    def __call__(cls, *arguments, **keywords):
        if not cls.is_stand_in():
            return super().__call__(*arguments, **keywords)
        return arguments[0] if len(arguments) == 1 and callable(arguments[0]) else cls


class StandIn(types.ModuleType):
    """A module with every attribute; one of SGLang's has those that its source mentions."""

    __path__ = []
    source = None

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in REAL:
            return importlib.import_module(f"{self.__name__}.{name}")
        text = self.source.read_text() if self.source else name
        if name not in text and "import *" not in text:
            raise AttributeError(f"{self.__name__} has no {name}")
        return Anything(name, (), {})


def is_for_sglang(name):
    """Whether SGLang imports it. Others may have a way to do without it."""
    if isinstance(sys.modules.get(name.rpartition(".")[0]), StandIn):
        return True
    frame = sys._getframe(1)
    while frame and (
        frame.f_code.co_filename.startswith("<frozen") or frame.f_code.co_filename == __file__
    ):
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__", "").startswith("sglang.")


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """First, for SGLang's modules; last (missing=True), for those that are not installed."""

    def __init__(self, package, missing, more=()):
        self.package, self.missing, self.real = package, missing, (*REAL, *more)

    def is_real(self, name):
        return any(name == r or name.startswith(r + ".") for r in self.real)

    def find_spec(self, name, path=None, target=None):
        if self.missing and not name.startswith("sglang.") and is_for_sglang(name):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if self.missing or not name.startswith("sglang."):
            return None
        place = self.package.joinpath(*name.split(".")[1:])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if self.is_real(name):
            return importlib.util.spec_from_file_location(
                name, file, submodule_search_locations=[str(place)] if place.is_dir() else None
            )
        if not (place.is_dir() or file.exists()):
            return None
        return importlib.machinery.ModuleSpec(
            name, self, is_package=True, loader_state=file if file.exists() else os.devnull
        )

    def create_module(self, spec):
        module = StandIn(spec.name)
        module.source = spec.loader_state and pathlib.Path(spec.loader_state)
        vars(module).update(GIVEN.get(spec.name, {}))
        return module

    def exec_module(self, module):
        pass


def folder():
    """The package in the wheel; SGLANG names another."""
    named = os.environ.get("SGLANG_FOLDER")
    spec = None if named else importlib.machinery.PathFinder.find_spec("sglang")
    if named or spec:
        return pathlib.Path(named) if named else pathlib.Path(spec.origin).parent
    reason = "sglang of dependencies/sglang.txt is not installed"
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@contextlib.contextmanager
def sglang(more=()):
    """SGLang as far as REAL and more name it. Afterwards none of it is imported any more."""
    finders = Finder(folder(), False, more), Finder(folder(), True)
    before = dict(sys.modules)
    package = StandIn("sglang")
    package.__path__ = [str(folder())]
    sys.modules["sglang"] = package
    sys.meta_path.insert(0, finders[0])
    sys.meta_path.append(finders[1])
    try:
        yield
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)
        for name in set(sys.modules) - set(before):
            module = sys.modules[name]
            if isinstance(module, StandIn) or name.split(".")[0] == "sglang":
                del sys.modules[name]
