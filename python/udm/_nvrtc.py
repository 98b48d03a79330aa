# SPDX-License-Identifier: Apache-2.0
"""NVRTC from a Python wheel, if the library finds none by itself."""

import importlib
import os
from typing import Optional


def find() -> Optional[str]:
    """The path of NVRTC from cuda-pathfinder; None without it, or if UDM_NVRTC_LIBRARY is set."""
    if os.environ.get("UDM_NVRTC_LIBRARY"):
        return None
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")  # untyped, and often missing
    except ImportError:
        return None
    try:
        path: Optional[str] = pathfinder.load_nvidia_dynamic_lib("nvrtc").abs_path
    except pathfinder.DynamicLibNotFoundError:
        return None
    return path
