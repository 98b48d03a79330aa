#!/usr/bin/env python3
"""Makes the manual pages and shell completions of udm: make_pages.py UDM HEADER FOLDER

SPDX-License-Identifier: Apache-2.0
"""
import gzip
import os
import sys

import completions
import header_text
import help_text
import man_pages


def write(folder, name, text):
    os.makedirs(os.path.join(folder, os.path.dirname(name)), exist_ok=True)
    path = os.path.join(folder, name)
    if name.endswith(".gz"):
        # neither a name nor a time: every build gives the same bytes
        with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(text.encode())
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def main():
    udm, header_path, folder = sys.argv[1:]
    header = header_text.read(header_path)
    command, commands = help_text.read(udm)
    for page in [command, *commands]:
        name = f"udm-{page.name}" if page.name else "udm"
        write(folder, f"man/man1/{name}.1.gz",
              man_pages.command_page(page, command, commands, header.version))
    write(folder, "man/man3/udm.3.gz", man_pages.library_page(header, commands))
    write(folder, "bash-completion/completions/udm", completions.bash(commands))
    write(folder, "zsh/_udm", completions.zsh(commands))


main()
