"""Reads include/udm.h: its version, opening comment, statuses, and functions with their comments.

SPDX-License-Identifier: Apache-2.0
"""
import re
from dataclasses import dataclass

COMMENT = re.compile(r"/\*[*!]?\n(.*?)\n? \*/", re.S)
FUNCTION = re.compile(r"(?:^/\*[*!]?(?:\n| )((?:(?!\*/).)*?)\n? \*/\n)?((?:^UDM_API [^;]*;\n)+)",
                      re.S | re.M)
STATUS = re.compile(r'X\((UDM_[A-Z_]+), (\d+), "([^"]*)"\)')


@dataclass
class Function:
    prototypes: list
    text: str


@dataclass
class Header:
    version: str
    opening: str
    statuses: list  # (name, value, text)
    functions: list


def plain(comment):
    return re.sub(r"^ \*(?: |$)", "", comment, flags=re.M)


def read(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    numbers = re.findall(r"^#define UDM_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.M)
    functions = []
    for comment, declarations in FUNCTION.findall(text):
        prototypes = [re.sub(r"\s+", " ", d).replace("UDM_API ", "").strip() + ";"
                      for d in declarations.split(";") if d.strip()]
        functions.append(Function(prototypes, plain(comment or "")))
    return Header(".".join(numbers), plain(COMMENT.search(text).group(1)), STATUS.findall(text),
                  functions)
