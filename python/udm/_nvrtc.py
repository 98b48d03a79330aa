# SPDX-License-Identifier: Apache-2.0
"""NVRTC from a Python wheel, for machines where the library finds none by itself."""

import importlib
import os
from typing import Optional


def find() -> Optional[str]:
    """The path of NVRTC as cuda-pathfinder finds it; None without it, or where one was named."""
    if os.environ.get("UDM_NVRTC_LIBRARY"):
        return None
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")  # no types, and often not there
    except ImportError:
        return None
    try:
        path: Optional[str] = pathfinder.load_nvidia_dynamic_lib("nvrtc").abs_path
    except pathfinder.DynamicLibNotFoundError:
        return None
    return path
