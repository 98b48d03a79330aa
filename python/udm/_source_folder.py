# SPDX-License-Identifier: Apache-2.0
"""Why the compiled part of the package cannot be imported."""

import os


def explain(error: ImportError) -> ImportError:
    """Returns the error to raise: the same one, unless this is the source of the package. Python
    finds that first if it runs in the folder python/ of the repository."""
    package = os.path.dirname(os.path.abspath(__file__))
    source = os.path.dirname(package)
    if not os.path.exists(os.path.join(source, "src", "module.c")):
        return error
    return ImportError(
        f"{package} is the source of udm, which has no compiled part: install the package "
        f"(pip install {os.path.dirname(source)}), and run Python in another folder than {source}",
        name="udm",
        path=package,
    )
