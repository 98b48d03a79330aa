# SPDX-License-Identifier: Apache-2.0
"""python -m udm: the udm command that the package brings. python -m udm --help lists it."""

import os
import sys

from udm import _nvrtc, _udm


def main() -> None:
    """Becomes the command, and names NVRTC of a wheel to it if the library finds no other."""
    command = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "udm")
    if not _udm.library_finds_nvrtc():
        path = _nvrtc.find()
        if path:
            os.environ["UDM_NVRTC_LIBRARY"] = path
    sys.stdout.flush()
    try:
        os.execv(command, ["udm", *sys.argv[1:]])
    except OSError as error:
        error.filename = command  # which os.execv() leaves out
        raise


if __name__ == "__main__":
    main()
