# SPDX-License-Identifier: Apache-2.0
"""udm, python -m udm: the command that the package brings. udm --help lists what it does."""

import os
import sys

from udm import _nvrtc, _udm


def main() -> None:
    """Becomes the command, and names NVRTC of a wheel to it if the library finds no other."""
    # beside the compiled part: pip install -e leaves the modules where their source is
    command = os.path.join(os.path.dirname(os.path.abspath(_udm.__file__)), "bin", "udm")
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
