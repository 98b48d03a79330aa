# SPDX-License-Identifier: Apache-2.0
"""NVRTC from a Python wheel, for machines where the library finds none by itself."""

import os
from typing import Optional


def find() -> Optional[str]:
    """The path of NVRTC as cuda-pathfinder finds it; None without it, or where one was named."""
    if os.environ.get("UDM_NVRTC_LIBRARY"):
        return None
    try:
        from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib
    except ImportError:
        return None
    try:
        return load_nvidia_dynamic_lib("nvrtc").abs_path
    except DynamicLibNotFoundError:
        return None
